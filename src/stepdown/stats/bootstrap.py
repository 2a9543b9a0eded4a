"""Intervals of figures that are no plain mean (a ratio, an area, a share), by drawing rows again.

For display, not for promises. A mean has its own interval in `intervals`.
"""

from collections.abc import Callable, Sequence

import numpy as np

from stepdown.stats.arrays import Groups, Ints, group_codes, probability
from stepdown.stats.intervals import Interval

RESAMPLES = 1000
FEWEST = 100  # resamples, however many the rows
ROWS_DRAWN = 20_000_000  # in all resamples: many rows need fewer of them to be steady in 2 digits
FEWEST_KNOWN = 0.975  # share of resamples that must have a value, or the interval is unknown


def bootstrap_intervals(
    figures: Callable[[Ints], Sequence[float | None]],
    n: int,
    groups: Groups | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[Interval, ...]:
    """Return the percentile interval of each figure of the rows 0..n-1; whole groups are drawn.

    Of many rows fewer resamples are drawn than asked for, down to 100.

    `figures` maps row numbers (some of them twice) to values, None where one is not defined.
    Unknown below two groups, and where too many resamples have no value.
    Source: Efron (1979); for groups Davison and Hinkley (1997), section 3.8.
    """
    tail = (1.0 - probability("level", level)) / 2.0
    codes = np.arange(n) if groups is None else group_codes(groups, n)
    affordable = max(FEWEST, ROWS_DRAWN // max(1, n))
    resamples = 0 if n == 0 or np.ptp(codes) == 0 else min(resamples, affordable)
    draw = _drawer(codes, seed)
    found = [figures(draw()) for _ in range(resamples)] or [figures(np.arange(n))]
    enough = max(2.0, FEWEST_KNOWN * resamples)
    return tuple(
        _percentiles([v for v in values if v is not None], enough, tail, level, n)
        for values in zip(*found, strict=True)
    )


def _percentiles(
    known: Sequence[float], enough: float, tail: float, level: float, n: int
) -> Interval:
    method = "percentile bootstrap"
    if len(known) < enough:
        return Interval(None, None, level, method, n)
    low, high = np.quantile(known, [tail, 1.0 - tail])
    return Interval(float(low), float(high), level, method, n)


def bootstrap_interval(
    figure: Callable[[Ints], float | None],
    n: int,
    groups: Groups | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the interval of one figure; all else as in `bootstrap_intervals`."""

    def alone(rows: Ints) -> tuple[float | None]:
        return (figure(rows),)

    (found,) = bootstrap_intervals(alone, n, groups, level=level, seed=seed, resamples=resamples)
    return found


def _drawer(codes: Ints, seed: int) -> Callable[[], Ints]:
    """Return what draws row numbers: as many groups as there are, each with all of its rows."""
    generator = np.random.default_rng(seed)
    sizes = np.bincount(codes)
    if sizes.max() == 1:
        return lambda: generator.integers(0, sizes.size, sizes.size)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(sizes)[:-1])
    return lambda: np.concatenate(
        [members[g] for g in generator.integers(0, len(members), len(members))]
    )
