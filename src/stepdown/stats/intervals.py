"""Two-sided intervals for figures in tables and plots. They are for display, not for promises.

A promise is tested by `bounds`, `paired_exact`, `sequence` and `noninferiority`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats import bounds
from stepdown.stats.arrays import (
    Floats,
    Groups,
    bounded,
    counts,
    group_codes,
    group_sums,
    is_binary,
    is_ternary,
    probability,
)

RESAMPLES = 2000
MOST_FOR_BOOTSTRAP = 50_000  # groups; beyond it t and BCa agree to what is shown, at minutes less
FEWEST_FOR_BOOTSTRAP = 20  # below it resampled quantiles are too short: Student's t is used
CELLS_AT_ONCE = 2_000_000  # resampled indices held in memory at a time


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided interval at `level` from `n` rows; low and high are None when unknown."""

    low: float | None
    high: float | None
    level: float
    method: str
    n: int

    def __post_init__(self) -> None:
        probability("level", self.level)
        if (self.low is None) != (self.high is None):
            raise DataError("An interval has both ends or none.")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise DataError(f"An interval cannot run from {self.low} to {self.high}.")


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Return the score interval of a proportion. Source: Wilson (1927)."""
    successes, n = counts(successes, n)
    if n == 0:
        return _unknown(level, "Wilson", 0)
    z = _normal(level)
    share, width = successes / n, z * z / n
    centre = (share + width / 2.0) / (1.0 + width)
    half = z / (1.0 + width) * float(np.sqrt(share * (1.0 - share) / n + width / (4.0 * n)))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high, level, "Wilson", n)


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Return the exact interval of a proportion. Source: Clopper and Pearson (1934)."""
    successes, n = counts(successes, n)
    if n == 0:
        return _unknown(level, "Clopper-Pearson", 0)
    tail = (1.0 - probability("level", level)) / 2.0
    low = bounds.accuracy_lower_bound(successes, n, tail)
    high = 1.0 - bounds.accuracy_lower_bound(n - successes, n, tail)
    return Interval(low, high, level, "Clopper-Pearson", n)


def proportion_interval(
    values: ArrayLike, groups: Groups | None = None, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return the interval of the mean of scores in 0..1, by the method that suits them.

    Wilson for independent 0/1 scores, otherwise `mean_interval`.
    """
    rows = bounded("values", values, 0.0, 1.0)
    if groups is None and is_binary(rows):
        return wilson(int(rows.sum()), rows.size, level)
    return mean_interval(rows, groups, level, seed)


def mean_interval(
    values: ArrayLike,
    groups: Groups | None = None,
    level: float = 0.95,
    seed: int = 0,
    limits: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Return the interval of the mean of values inside `limits`, whatever their order.

    With `groups`, whole groups are drawn, and the mean stays a mean per row. No rows: unknown.
    Source: Efron (1987), BCa with 2,000 resamples; below 20 groups, where resampled quantiles are
    too short, and above 50,000 Student's t on linearised group sums; without any spread an exact
    or betting interval (a bootstrap would give width 0).
    """
    rows = bounded("values", values, *limits)
    if rows.size == 0:
        return _unknown(level, "none: no rows", 0)
    sums, sizes = _by_group(rows, groups)
    residual = sums - rows.mean() * sizes
    if np.allclose(residual, 0.0, atol=1e-12):
        return _without_spread(rows, sums.size, level, limits)
    if not FEWEST_FOR_BOOTSTRAP <= sums.size <= MOST_FOR_BOOTSTRAP:
        low, high, method = *_student(rows.mean(), residual, rows.size, level), "Student's t"
    else:
        low, high, method = *_bca(sums, sizes, level, seed), "BCa bootstrap"
    method += "" if groups is None else f" over {sums.size} groups"
    return Interval(max(low, limits[0]), min(high, limits[1]), level, method, rows.size)


def paired_difference(
    a: ArrayLike, b: ArrayLike, groups: Groups | None = None, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return the interval of mean(a - b) for scores in 0..1 of the same rows.

    Source: Tango (1998) for independent 0/1 scores, otherwise `mean_interval` of the differences.
    """
    first, second = bounded("a", a, 0.0, 1.0), bounded("b", b, 0.0, 1.0)
    if first.shape != second.shape:
        raise DataError(f"a has {first.size} rows and b has {second.size}; pairs are needed.")
    gap = first - second
    if groups is None and gap.size and is_ternary(gap):
        return tango(int((gap < 0).sum()), int((gap > 0).sum()), gap.size, level)
    return mean_interval(gap, groups, level, seed, limits=(-1.0, 1.0))


def tango(n_minus: int, n_plus: int, n: int, level: float = 0.95) -> Interval:
    """Return the score interval of P(+1) - P(-1) from paired 0/1 scores. Source: Tango (1998)."""
    if n == 0:
        return _unknown(level, "Tango", 0)
    estimate = (n_plus - n_minus) / n
    z = _normal(level)
    low = _tango_end(n_minus, n_plus, n, z, -1.0, estimate)
    high = -_tango_end(n_plus, n_minus, n, z, -1.0, -estimate)
    return Interval(low, high, level, "Tango", n)


def quantile(values: ArrayLike, q: float) -> float | None:
    """Return the q-quantile (linear between ranks), or None without values; 0 <= q <= 1."""
    rows = np.asarray(values, dtype=np.float64)
    if not 0.0 <= q <= 1.0:
        raise DataError(f"q is {q!r}; it must lie in 0..1.")
    return float(np.quantile(rows, q)) if rows.size else None


def _unknown(level: float, method: str, n: int) -> Interval:
    return Interval(None, None, level, method, n)


def _normal(level: float) -> float:
    from scipy import special

    return float(special.ndtri((1.0 + probability("level", level)) / 2.0))


def _by_group(rows: Floats, groups: Groups | None) -> tuple[Floats, Floats]:
    """Return the sum and the size of each group, in an order that does not depend on the rows'."""
    if groups is None:
        return np.sort(rows), np.ones_like(rows)
    codes = group_codes(groups, rows.size)
    sums, sizes = group_sums(rows, codes), np.bincount(codes).astype(np.float64)
    order = np.lexsort((sizes, np.round(sums, 12)))
    return sums[order], sizes[order]


def _without_spread(rows: Floats, n: int, level: float, limits: tuple[float, float]) -> Interval:
    """Return an interval when all groups agree: n of them, each counted as one row."""
    if limits == (0.0, 1.0) and is_binary(rows) and np.ptp(rows) == 0.0:
        exact = clopper_pearson(n if rows[0] == 1.0 else 0, n, level)
        return Interval(exact.low, exact.high, level, "Clopper-Pearson", rows.size)
    span = limits[1] - limits[0]
    unit = np.full(n, np.clip((rows.mean() - limits[0]) / span, 0.0, 1.0))
    tail = (1.0 - level) / 2.0
    low = bounds.mean_lower_bound(unit, tail)
    high = 1.0 - bounds.mean_lower_bound(1.0 - unit, tail)
    return Interval(limits[0] + span * low, limits[0] + span * high, level, "betting", rows.size)


def _student(mean: float, residual: Floats, rows: int, level: float) -> tuple[float, float]:
    from scipy import special

    groups = residual.size
    if groups == 1:
        return -np.inf, np.inf
    error = np.sqrt(groups / (groups - 1) * np.sum(residual**2)) / rows
    half = float(special.stdtrit(groups - 1, (1.0 + level) / 2.0) * error)
    return float(mean) - half, float(mean) + half


def _bca(sums: Floats, sizes: Floats, level: float, seed: int) -> tuple[float, float]:
    """Source: Efron (1987), eq. 2.3 for the quantiles and 6.6 for the acceleration."""
    from scipy import special

    draws = _resampled_means(sums, sizes, seed)
    mean = sums.sum() / sizes.sum()
    below = np.mean(draws < mean) + np.mean(draws == mean) / 2.0
    shift = special.ndtri(np.clip(below, 1.0 / RESAMPLES, 1.0 - 1.0 / RESAMPLES))
    without = (sums.sum() - sums) / (sizes.sum() - sizes)
    pull = without.mean() - without
    scale = np.sum(pull**2) ** 1.5
    acceleration = np.sum(pull**3) / (6.0 * scale) if scale > 0.0 else 0.0
    ends = shift + special.ndtri(np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0]))
    asked = special.ndtr(shift + ends / np.maximum(1.0 - acceleration * ends, 1e-9))
    low, high = np.quantile(draws, np.clip(asked, 0.0, 1.0))
    return float(min(low, mean)), float(max(high, mean))


def _resampled_means(sums: Floats, sizes: Floats, seed: int) -> Floats:
    generator = np.random.default_rng(seed)
    n, step = sums.size, max(1, CELLS_AT_ONCE // sums.size)
    means = []
    for start in range(0, RESAMPLES, step):
        drawn = generator.integers(0, n, (min(step, RESAMPLES - start), n))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(means)


def _tango_end(n_minus: int, n_plus: int, n: int, z: float, low: float, high: float) -> float:
    """Return the lower end: where the score against "mean = -epsilon" falls to z, by bisection."""
    for _ in range(50):
        middle = (low + high) / 2.0
        low, high = (
            (middle, high) if _tango_score(n_minus, n_plus, n, middle) > z else (low, middle)
        )
    return low


def _tango_score(n_minus: int, n_plus: int, n: int, mean: float) -> float:
    """Return (observed - mean) / its constrained standard error. Source: Tango (1998), eq. 9."""
    b = -n_plus - n_minus + (2 * n - n_plus + n_minus) * mean
    c = -n_minus * mean * (1.0 - mean)
    q_minus = (np.sqrt(max(b * b - 8.0 * n * c, 0.0)) - b) / (4.0 * n)
    variance = n * (2.0 * q_minus + mean * (1.0 - mean))
    return float((n_plus - n_minus - n * mean) / np.sqrt(max(variance, 1e-300)))
