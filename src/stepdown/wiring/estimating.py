"""Means, differences and savings with their intervals, from arrays in which unknown is NaN.

Rows that belong together are drawn together. For display: no promise is tested here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stepdown.core.digest import digest_bytes, seed_from
from stepdown.core.lock import Estimate
from stepdown.core.report import Claim, Unit
from stepdown.stats.intervals import Interval, mean_interval, paired_difference, proportion_interval
from stepdown.stats.ratio import saving_interval

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]
Groups = NDArray[np.int64]
MANY = 20_000  # rows from which the normal interval is as good as a bootstrap, and much faster
MANY_GROUPS = 100  # under which it is not
Z95 = 1.959964
AMOUNTS = ("usd", "s")  # units whose mean says nothing when a part is unknown


def groups_of(groups: Sequence[str | None], query_ids: Sequence[str]) -> Groups | None:
    """Return a code for each row's group, None when no two rows share one."""
    if all(group is None for group in groups):
        return None
    named = [
        f"row {q}" if g is None else f"group {g}" for g, q in zip(groups, query_ids, strict=True)
    ]
    names, codes = np.unique(named, return_inverse=True)
    return codes.astype(np.int64) if names.size < len(named) else None


def mean_of(values: Floats, unit: Unit, source: str, groups: Groups | None = None) -> Estimate:
    """Return the mean of the known rows with its 95% interval; the unknown are counted.

    Dollars and seconds with an unknown part have no mean: what is missing may be the dearest.
    """
    known = ~np.isnan(values)
    unknown = int((~known).sum())
    if not known.any() or (unknown and unit in AMOUNTS):
        return Estimate(None, n=int(known.sum()), unit=unit, source=source, unknown=unknown)
    rows = values[known]
    found = _interval(rows, unit, None if groups is None else groups[known])
    return _estimate(float(rows.mean()), found, unit, source, unknown)


def _interval(rows: Floats, unit: Unit, groups: Groups | None) -> Interval:
    """Amounts have no upper limit: where all rows agree, nothing bounds what the next may be."""
    large = _normal(rows, groups)
    if large is not None:
        return large
    seed = _seed(rows)
    if unit not in AMOUNTS:
        return proportion_interval(rows, groups, seed=seed)
    peak = float(rows.max())
    if np.ptp(rows) <= 1e-9 * peak:
        return Interval(None, None, 0.95, "none: all alike", rows.size)
    found = mean_interval(rows / peak, groups, seed=seed, limits=(0.0, np.inf))
    if found.low is None or found.high is None or not np.isfinite(found.high):
        return Interval(None, None, found.level, found.method, found.n)
    return Interval(peak * found.low, peak * found.high, found.level, found.method, found.n)


def _seed(rows: Floats) -> int:
    return seed_from(digest_bytes(np.ascontiguousarray(rows).tobytes()))


def _normal(rows: Floats, groups: Groups | None) -> Interval | None:
    """Return the interval by the central limit theorem over sums of groups; None for few rows."""
    if rows.size < MANY:
        return None
    residual = rows - rows.mean()
    if groups is not None:
        residual = np.bincount(np.unique(groups, return_inverse=True)[1], residual)
    if residual.size < MANY_GROUPS or not residual.any():
        return None
    half = Z95 * float(np.linalg.norm(residual)) / rows.size
    return Interval(float(rows.mean()) - half, float(rows.mean()) + half, 0.95, "normal", rows.size)


def _estimate(value: float, found: Interval, unit: Unit, source: str, unknown: int = 0) -> Estimate:
    return Estimate(value, found.low, found.high, found.n, unit, source, unknown)


def difference_of(
    first: Floats, second: Floats, source: str, groups: Groups | None = None
) -> Estimate:
    """Return mean(first - second) of scores over the rows on which both are known, paired."""
    known = ~(np.isnan(first) | np.isnan(second))
    unknown = int((~known).sum())
    if not known.any():
        return Estimate(None, unit="score", source=source, unknown=unknown)
    a, b = first[known], second[known]
    own = None if groups is None else groups[known]
    found = _normal(a - b, own) or paired_difference(a, b, own, seed=_seed(a - b))
    said = f"{source}, paired" if source else found.method
    return _estimate(float((a - b).mean()), found, "score", said, unknown)


def negated(one: Estimate) -> Estimate:
    """Return the estimate of minus the figure."""
    value, low, high = (None if x is None else -x for x in (one.value, one.high, one.low))
    return Estimate(value, low, high, one.n, one.unit, one.source, one.unknown)


def shifted(one: Estimate, by: float) -> Estimate:
    """Return the estimate of the figure plus a constant."""
    value, low, high = (None if x is None else x + by for x in (one.value, one.low, one.high))
    return Estimate(value, low, high, one.n, one.unit, one.source, one.unknown)


def saving_of(
    cost: Floats, baseline: Floats, source: str, groups: Groups | None = None
) -> Estimate | None:
    """Return 1 - mean(cost) / mean(baseline), paired by row; None where a cost is unknown.

    Its interval is Fieller's for the ratio of two means.
    """
    if np.isnan(cost).any() or np.isnan(baseline).any() or not baseline.sum() > 0:
        return None
    found = saving_interval(cost, baseline, groups)
    return _estimate(float(1 - cost.sum() / baseline.sum()), found, "share", source)


def claim_of(one: Estimate | None) -> Claim:
    """Return an estimate as a cell of a table."""
    if one is None:
        return Claim(None)
    note = f"{one.unknown:,} unknown" if one.unknown else ""
    unit: Unit = one.unit  # type: ignore[assignment]
    n = None if one.value is not None and not one.n else one.n  # a figure of no rows of its own
    return Claim(one.value, unit, one.low, one.high, 0.95, n, one.source, note)
