"""An exact test of non-inferiority for paired 0/1 scores, where a difference is -1, 0 or 1.

It replaces the betting test there because it needs about half the rows (see
tests/stats/test_paired_exact.py). It is not for graded scores or for groups of dependent rows.

The null hypothesis is H0: P(-1) - P(+1) >= epsilon. Outcomes are ordered by the signed likelihood
ratio against the nearest point of the null hypothesis; the p-value is the largest chance, over
every point of H0, of an outcome at least as favourable. Why it is valid, step by step:

1. The order never falls when a difference rises. (The ratio is the largest sum of log(1 + s(d +
   epsilon)) over stakes s >= 0, each of which rises with d; for unfavourable outcomes, minus the
   largest over s <= 0.) So the largest chance is met on the border P(-1) - P(+1) = epsilon: any
   other point of H0 couples, row by row, to a border point with differences as large or larger.
   And so an answer counted as a full loss for lack of a label can only raise the p-value,
   whichever rows were labelled.
2. On the border one number x remains. Between two points of a grid the chance is bounded by their
   distance: for any event R and laws P, Q of n rows, |asin sqrt P(R) - asin sqrt Q(R)| <= arccos
   (rho**n), rho the Bhattacharyya coefficient of one row. The grid is refined until that bound
   adds less than the tolerance, and the bound itself is returned.

Sources: Barnard (1947); Lloyd and Moldovan (2007), exact one-sided tests for matched pairs;
Tango (1998), the constrained maximum; Owen (1990), the dual form; Buehler (1957), the bound.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stepdown.errors import DataError
from stepdown.stats.arrays import Bools, Floats, Ints, probability

HALF = 0.5  # added to both discordant counts before ranking: fewer ties at few discordant rows
SPREAD_SD = 5.0  # terms beyond this many sd are not summed; their mass is added to the chance
FIRST_GRID = 65
LOSS_RESOLUTION = 0.0005  # of the bound on the loss, which is rounded up
RANK_RESOLUTION = 0.01  # of the critical rank: one percent of its p-value


@dataclass(frozen=True, slots=True)
class Region:
    """Outcomes at least as favourable as one: for n_minus = a, every n_plus >= least_plus[a]."""

    n: int
    least_plus: Ints


def rank(n_minus: Floats, n_plus: Floats, n: int, epsilon: float) -> Floats:
    """Return the signed log likelihood ratio of outcomes against P(-1) - P(+1) = epsilon.

    Larger favours the candidate. Vectorised; 0 <= epsilon < 1.
    """
    minus, plus = n_minus + HALF, n_plus + HALF
    total = n + 2 * HALF
    zero = total - minus - plus
    x = _constrained_plus(minus, plus, total, epsilon)
    ratio = (
        _log_ratio(minus, total, x + epsilon)
        + _log_ratio(plus, total, x)
        + _log_ratio(zero, total, 1.0 - 2.0 * x - epsilon)
    )
    return np.asarray(np.sign(plus - minus + total * epsilon) * np.maximum(ratio, 0.0))


def region_at(n_minus: int, n_plus: int, n: int, epsilon: float) -> Region:
    """Return the outcomes that rank at least as high as (n_minus, n_plus) of n rows."""
    level = rank(np.array([n_minus], float), np.array([n_plus], float), n, epsilon)[0]
    return region_above(float(level), n, epsilon)


def region_above(level: float, n: int, epsilon: float) -> Region:
    """Return the outcomes with a rank of at least `level`."""
    return staircase(n, lambda minus, plus: rank(minus, plus, n, epsilon) >= level - 1e-9)


def staircase(n: int, inside: Callable[[Floats, Floats], Bools]) -> Region:
    """Return the region of a rule that rises with n_plus, by bisection for each n_minus."""
    minus = np.arange(n + 1)
    low, high = np.full(n + 1, -1), n - minus + 1
    while np.any(high - low > 1):
        middle = (low + high) // 2
        asked = np.clip(middle, 0, n - minus)
        yes = inside(minus.astype(np.float64), asked.astype(np.float64))
        still = high - low > 1
        high, low = np.where(still & yes, middle, high), np.where(still & ~yes, middle, low)
    return Region(n, high.astype(np.int64))


def chance(region: Region, p_minus: Floats, p_plus: Floats) -> Floats:
    """Return the chance of the region under each pair of probabilities, or slightly more.

    Sums binomial(n_minus) times the binomial tail of n_plus; what is not summed is added.
    """
    parts = [
        _chance_block(region, p_minus[i : i + 64], p_plus[i : i + 64])
        for i in range(0, len(p_minus), 64)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def largest_chance(
    region: Region, epsilon: float, tolerance: float, limit: float | None = None
) -> float:
    """Return an upper bound, within `tolerance`, on the chance of the region under H0.

    With `limit` it stops as soon as the answer to "is it at most limit?" is known, and returns a
    number on the right side of it. -1 < epsilon < 1.
    """
    x = (1.0 - abs(epsilon)) / 2.0 * np.linspace(0.0, 1.0, FIRST_GRID) ** 2
    y = _border_chance(region, x, epsilon)
    while True:
        best = float(y.max())
        middle = (x[:-1] + x[1:]) / 2.0
        above = _bound_between(x, y, middle, region.n, epsilon)
        allowed = max(best * 1.03, best + tolerance) if limit is None else limit
        wide = above > allowed
        if not wide.any() or (limit is not None and best > limit):
            return min(1.0, max(best, float(above.max())))
        if limit is not None and best > limit - tolerance:
            return 1.0  # too close to the limit to be worth deciding: answer no
        x, y = _insert(x, y, middle[wide], _border_chance(region, middle[wide], epsilon))


@lru_cache(maxsize=4096)  # neighbours on a path often have the same counts
def p_value(n_minus: int, n_plus: int, n: int, epsilon: float, tolerance: float = 0.001) -> float:
    """Return the exact p-value of H0 "the mean difference is at most -epsilon".

    `n_minus` and `n_plus` of n independent rows differ by -1 and +1; 0 <= epsilon < 1. The value
    is an upper bound, at most `tolerance` or 3% of itself above the exact one. 1 when n is 0.
    """
    _check(n_minus, n_plus, n, epsilon)
    if n == 0:
        return 1.0
    return largest_chance(region_at(n_minus, n_plus, n, epsilon), epsilon, tolerance)


@lru_cache(maxsize=4096)
def upper_bound_loss(n_minus: int, n_plus: int, n: int, epsilon: float, delta: float) -> float:
    """Return b such that the mean loss is below b with chance >= 1 - delta, -1 <= b <= 1.

    The outcomes are ordered as for the test at `epsilon`, so that b <= epsilon exactly when the
    test passes. Source: Buehler (1957).
    """
    _check(n_minus, n_plus, n, epsilon)
    probability("delta", delta)
    if n == 0:
        return 1.0
    region = region_at(n_minus, n_plus, n, epsilon)
    passed = largest_chance(region, epsilon, delta * 0.01) <= delta
    low, high = (n_minus - n_plus) / n, epsilon if passed else 1.0
    while high - low > LOSS_RESOLUTION:
        middle = (low + high) / 2.0
        inside = largest_chance(region, middle, delta * 0.01, limit=delta) <= delta
        low, high = (low, middle) if inside else (middle, high)
    return high


def critical_rank(n: int, epsilon: float, delta: float) -> float:
    """Return the rank from which an outcome passes at `delta`, rounded up by RANK_RESOLUTION."""
    low, high = 0.0, -math.log(probability("delta", delta)) + 4.0
    while high - low > RANK_RESOLUTION:
        middle = (low + high) / 2.0
        region = region_above(middle, n, epsilon)
        fits = largest_chance(region, epsilon, delta * 0.02, limit=delta) <= delta
        low, high = (low, middle) if fits else (middle, high)
    return high


def _border_chance(region: Region, x: Floats, epsilon: float) -> Floats:
    return chance(region, x + max(epsilon, 0.0), x + max(-epsilon, 0.0))


def _chance_block(region: Region, p_minus: Floats, p_plus: Floats) -> Floats:
    from scipy import special

    n, minus = region.n, _window(region.n, p_minus)
    rest = n - minus
    weight = np.where(minus <= n, _binomial(np.minimum(minus, n), n, p_minus[:, None]), 0.0)
    least = region.least_plus[np.minimum(minus, n)]
    share = np.where(p_minus < 1.0, p_plus / np.maximum(1.0 - p_minus, 1e-300), 0.0)
    tail = special.betainc(
        np.maximum(least, 1), np.maximum(rest - least + 1, 1), np.minimum(share, 1.0)[:, None]
    )
    tail = np.where(least <= 0, 1.0, np.where(least > rest, 0.0, tail))
    left_out = np.maximum(0.0, 1.0 - weight.sum(axis=1))
    return np.asarray(np.minimum(1.0, (weight * tail).sum(axis=1) + left_out))


def _window(n: int, p: Floats) -> Ints:
    """Return, for each p, the counts that a binomial plausibly takes, in rows of equal width."""
    reach = SPREAD_SD * np.sqrt(n * p * (1.0 - p)) + 10.0
    first = np.clip(np.floor(n * p - reach), 0, n).astype(np.int64)
    return np.asarray(first[:, None] + np.arange(int(2 * reach.max()) + 1)[None, :])


def _binomial(k: NDArray[np.int64], n: int, p: Floats) -> Floats:
    from scipy import special

    ways = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return np.asarray(np.exp(ways + special.xlogy(k, p) + special.xlog1py(n - k, -p)))


def _bound_between(x: Floats, y: Floats, middle: Floats, n: int, epsilon: float) -> Floats:
    """Bound the chance on each interval of the grid from its two ends and their distance."""
    angle = np.arcsin(np.sqrt(y))
    left = angle[:-1] + _angle(x[:-1], middle, n, epsilon)
    right = angle[1:] + _angle(x[1:], middle, n, epsilon)
    return np.asarray(np.sin(np.minimum(np.maximum(left, right), math.pi / 2.0)) ** 2)


def _angle(x: Floats, y: Floats, n: int, epsilon: float) -> Floats:
    """Return arccos(rho**n) between two border points, through the Hellinger distance."""
    size = abs(epsilon)
    half_square = 0.5 * (
        (np.sqrt(x) - np.sqrt(y)) ** 2
        + (np.sqrt(x + size) - np.sqrt(y + size)) ** 2
        + (_root(1.0 - 2.0 * x - size) - _root(1.0 - 2.0 * y - size)) ** 2
    )
    return np.asarray(2.0 * np.arcsin(np.sqrt(-np.expm1(n * np.log1p(-half_square)) / 2.0)))


def _root(values: Floats) -> Floats:
    return np.sqrt(np.maximum(values, 0.0))


def _insert(x: Floats, y: Floats, more_x: Floats, more_y: Floats) -> tuple[Floats, Floats]:
    places = np.searchsorted(x, more_x)
    return np.insert(x, places, more_x), np.insert(y, places, more_y)


def _constrained_plus(minus: Floats, plus: Floats, total: float, epsilon: float) -> Floats:
    """Return the likeliest P(+1) when P(-1) - P(+1) = epsilon. Source: Tango (1998)."""
    b = (minus + plus) * (1.0 - epsilon) - 2.0 * epsilon * (total - minus)
    c = plus * epsilon * (1.0 - epsilon)
    root = np.sqrt(b * b + 8.0 * total * c)
    stable = 2.0 * c / np.maximum(root - b, 1e-300)
    return np.asarray(np.where(b >= 0.0, (b + root) / (4.0 * total), stable))


def _log_ratio(count: Floats, total: float, p: Floats) -> Floats:
    from scipy import special

    safe = np.maximum(p, 1e-300)
    return np.asarray(special.xlogy(count, count / total) - special.xlogy(count, safe))


def _check(n_minus: int, n_plus: int, n: int, epsilon: float) -> None:
    if min(n_minus, n_plus) < 0 or n_minus + n_plus > n:
        raise DataError(f"{n_minus} losses and {n_plus} gains of {n} rows is impossible.")
    if not 0.0 <= epsilon < 1.0:
        raise DataError(f"epsilon is {epsilon!r}; it must lie in 0..1, 1 excluded.")
