"""Figures of a policy on certify rows, with intervals. For display: no promise is tested here."""

from __future__ import annotations

import numpy as np

from stepdown.certify.promises import Floats
from stepdown.core.digest import digest_bytes, seed_from
from stepdown.core.lock import Estimate
from stepdown.core.replay_array import Panel, ReplayedArray
from stepdown.stats.intervals import mean_interval, paired_difference

SOURCE = "certify rows"
MANY = 20_000  # rows from which the normal interval is as good as a bootstrap, and much faster
Z95 = 1.959964


def _seed(values: Floats) -> int:
    return seed_from(digest_bytes(np.ascontiguousarray(values).tobytes()))


def loss_estimate(scores: Floats, ceiling: Floats) -> Estimate:
    """Return the mean loss against the ceiling with its 95% interval; arrays of shape (n,).

    Rows on which the ceiling has no score are left out and counted.
    """
    known = ~np.isnan(ceiling)
    unknown = int((~known).sum())
    scores, ceiling = scores[known], ceiling[known]
    if not scores.size:
        return Estimate(None, unit="score", unknown=unknown)
    lost = ceiling - scores
    mean, n = float(lost.mean()), len(scores)
    if n >= MANY:
        return Estimate(mean, *_normal(lost), n, "score", "normal", unknown)
    found = paired_difference(scores, ceiling, seed=_seed(scores))
    low = None if found.high is None else -found.high
    high = None if found.low is None else -found.low
    return Estimate(mean, low, high, n, "score", found.method, unknown)


def _normal(values: Floats) -> tuple[float, float]:
    """Return the ends of the 95% interval by the central limit theorem."""
    mean, half = float(values.mean()), Z95 * float(values.std(ddof=1)) / values.size**0.5
    return mean - half, mean + half


def mean_estimate(values: Floats, unit: str) -> Estimate:
    """Return the mean of the known values with its 95% interval; the unknown are counted."""
    known = values[~np.isnan(values)]
    unknown = int(values.size - known.size)
    if not known.size:
        return Estimate(None, n=0, unit=unit, source=SOURCE, unknown=unknown)
    low, high = _limits(known, unit)
    return Estimate(float(known.mean()), low, high, int(known.size), unit, SOURCE, unknown)


def _limits(known: Floats, unit: str) -> tuple[float | None, float | None]:
    """The ends of the 95% interval. Dollars and seconds have no upper limit, unlike a score:
    where all rows agree, nothing bounds what the next one may be, and the interval is unknown.
    """
    peak = float(known.max())
    alike = np.ptp(known) <= 1e-9 * peak
    if known.size >= MANY and not alike:
        return _normal(known)
    if unit == "score":
        found = mean_interval(known, seed=_seed(known))
        return found.low, found.high
    if alike:
        return None, None
    found = mean_interval(known / peak, seed=_seed(known), limits=(0.0, np.inf))
    if found.low is None or found.high is None:
        return None, None
    return peak * found.low, peak * found.high


def kept_shares(done: ReplayedArray) -> dict[str, float]:
    """Return the share of calls that each tier answered, by name; `None` stands for nobody."""
    return dict(sorted((str(who), share) for who, share in done.share_by_answer().items()))


def expected(
    table: Panel, done: ReplayedArray, ceiling: str, baseline: str | None
) -> dict[str, Estimate]:
    """What a call will cost, take and score, on the certify rows, beside the baseline."""
    found = {
        "cost_usd": mean_estimate(done.cost_usd, "usd"),
        "score": mean_estimate(done.score, "score"),
        "latency_s": mean_estimate(done.latency_s, "s"),
    }
    if ceiling in table.score:
        found["ceiling_score"] = mean_estimate(table.score[ceiling], "score")
    if baseline is not None and baseline in table.cost_usd:
        found["baseline_usd"] = mean_estimate(table.cost_usd[baseline], "usd")
    return found
