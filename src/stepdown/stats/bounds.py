"""Valid tests and bounds: exact binomial for 0/1 outcomes, betting for bounded ones.

Every p-value here is valid at a fixed n without an approximation. Nothing here knows what was
chosen by looking at the data: choose on other rows, then call these.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats.arrays import (
    Floats,
    Groups,
    bounded,
    counts,
    group_codes,
    group_sums,
    probability,
    vector,
)

# Any fixed set of stakes gives a valid test; these, as fractions of the largest stake that cannot
# go bankrupt, were the strongest on the average of the alternatives in tests/stats/test_bounds.py.
STAKES: tuple[float, ...] = (0.02, 0.05, 0.08, 0.12, 0.18, 0.27, 0.41, 0.62, 0.95)
ROWS_AT_ONCE = 100_000  # of bets held in memory at a time, at every stake
INVERSION_STEPS = 30  # halvings of [-1, 1]: resolves a bound to 2e-9


def accuracy_p_value(correct: ArrayLike, n: ArrayLike, target: float) -> Floats:
    """Return the p-value of H0 "accuracy <= target", given counts of correct answers.

    Vectorised over `correct` and `n`; 1 where n is 0. Assumes independent rows.
    Source: the exact binomial tail P(Bin(n, target) >= correct).
    """
    from scipy import special

    probability("target", target)
    k, size = np.broadcast_arrays(np.asarray(correct, float), np.asarray(n, float))
    if np.any((k < 0) | (k > size)):
        raise DataError("correct must lie between 0 and n in every cell.")
    tail = special.betainc(np.maximum(k, 1.0), size - np.maximum(k, 1.0) + 1.0, target)
    return np.asarray(np.where(k > 0, tail, 1.0), dtype=np.float64)


def accuracy_lower_bound(correct: int, n: int, delta: float) -> float:
    """Return the number that the accuracy exceeds with chance >= 1 - delta; 0 when n is 0.

    Source: Clopper and Pearson (1934), one-sided.
    """
    from scipy import special

    correct, n = counts(correct, n)
    probability("delta", delta)
    if correct == 0:
        return 0.0
    return float(special.betaincinv(correct, n - correct + 1, delta))


def n_min(target: float, delta: float) -> int:
    """Return the fewest rows, all correct, that can certify an accuracy above `target`.

    Source: target**n <= delta.
    """
    probability("target", target)
    probability("delta", delta)
    return max(1, math.ceil(math.log(delta) / math.log(target) - 1e-9))


def p_from_log_e(log_evalue: ArrayLike) -> Floats:
    """Return min(1, 1/e) for e-values given as logarithms. Source: Markov; Ville (1939)."""
    return np.exp(-np.maximum(np.asarray(log_evalue, dtype=np.float64), 0.0))


def log_evalue(values: ArrayLike, mean: float, *, anytime: bool = False) -> float:
    """Return the log e-value against H0 "the mean of the values is at most `mean`".

    `values` are rows in [0, 1]; the result may be -inf..inf, and 0 for no rows. The plain form
    needs only independent rows and does not depend on their order. `anytime=True` takes the
    largest wealth on the way through the given order: stronger, but the order must be fixed
    without looking at the values (shuffle by a seed), and rows must be identically distributed.
    It is used only when the mean of all rows is above `mean`.
    Source: Waudby-Smith and Ramdas (2023), betting with a mixture over fixed stakes.
    """
    rows = vector("values", values, 0.0, 1.0)
    if not 0.0 <= mean <= 1.0:
        raise DataError(f"mean is {mean!r}; it must lie in 0..1.")
    if mean == 0.0:
        return math.inf if np.any(rows > 0.0) else 0.0
    return _log_wealth((rows - mean) / mean, anytime)


def difference_log_evalue(
    differences: ArrayLike, epsilon: float, *, anytime: bool = False
) -> float:
    """Return the log e-value against H0 "the mean paired difference is at most -epsilon".

    `differences` are rows of score - reference in [-1, 1]; -1 < epsilon < 1.
    Source and assumptions: as `log_evalue`, on (1 + difference) / 2.
    """
    rows = vector("differences", differences, -1.0, 1.0)
    _check_epsilon(epsilon)
    return _log_wealth((rows + epsilon) / (1.0 - epsilon), anytime)


def difference_log_evalue_counts(
    n_minus: ArrayLike, n_zero: ArrayLike, n_plus: ArrayLike, epsilon: float
) -> Floats:
    """Return `difference_log_evalue` from counts of -1, 0 and 1, vectorised over many policies."""
    from scipy import special

    _check_epsilon(epsilon)
    minus, zero, plus = (
        np.asarray(c, dtype=np.float64)[..., None] for c in (n_minus, n_zero, n_plus)
    )
    stakes = np.asarray(STAKES)
    wealth = (
        minus * np.log1p(-stakes)
        + zero * np.log1p(stakes * epsilon / (1.0 - epsilon))
        + plus * np.log1p(stakes * (1.0 + epsilon) / (1.0 - epsilon))
    )
    result: Floats = special.logsumexp(wealth, axis=-1) - math.log(len(STAKES))
    return result


def cluster_log_evalue(excess: ArrayLike, groups: Groups, floor: float) -> float:
    """Return the log e-value against H0 "the expected sum of `excess` is at most 0", by groups.

    `excess` is a row's difference + epsilon (or correct - target), at least -floor; groups are
    independent of each other, rows inside one need not be. The bet is on the *sum* of a group,
    so the promise stays per row. It holds given the sizes of the groups: with independent
    factors of means 1 + f mu_g, their product is at most 1 as soon as the mu_g sum to at most 0
    (arithmetic and geometric mean). There is no anytime form for unequal groups.
    Source: Waudby-Smith and Ramdas (2023) with the bet on bounded sums.
    """
    rows = bounded("excess", excess, -floor, math.inf)
    if rows.size == 0:
        return 0.0
    codes = group_codes(groups, rows.size)
    largest = float(np.bincount(codes).max())
    return _log_wealth(group_sums(rows, codes) / (largest * floor), anytime=False)


def mean_lower_bound(values: ArrayLike, delta: float, *, anytime: bool = False) -> float:
    """Return the number that the mean of [0, 1] values exceeds with chance >= 1 - delta.

    0 when there are no rows. Source: `log_evalue`, inverted by bisection.
    """
    rows = vector("values", values, 0.0, 1.0)
    limit = -math.log(probability("delta", delta))
    low, high = 0.0, 1.0
    if log_evalue(rows, low, anytime=anytime) < limit:
        return 0.0
    for _ in range(INVERSION_STEPS):
        middle = (low + high) / 2.0
        passed = log_evalue(rows, middle, anytime=anytime) >= limit
        low, high = (middle, high) if passed else (low, middle)
    return low


def upper_bound_loss(differences: ArrayLike, delta: float, *, anytime: bool = False) -> float:
    """Return b such that the mean loss -E[difference] is below b with chance >= 1 - delta.

    `differences` in [-1, 1]; the result lies in -1..1 and is 1 when there are no rows.
    Source: `difference_log_evalue`, inverted by bisection (it grows with epsilon).
    """
    rows = vector("differences", differences, -1.0, 1.0)
    return 1.0 - 2.0 * mean_lower_bound((1.0 + rows) / 2.0, delta, anytime=anytime)


def cluster_upper_bound_loss(differences: ArrayLike, groups: Groups, delta: float) -> float:
    """Return `upper_bound_loss` for rows in independent groups, by `cluster_log_evalue`."""
    rows = vector("differences", differences, -1.0, 1.0)
    limit = -math.log(probability("delta", delta))
    low, high = -1.0, 1.0
    for _ in range(INVERSION_STEPS):
        middle = (low + high) / 2.0
        passed = cluster_log_evalue(rows + middle, groups, 1.0 - middle) >= limit
        low, high = (low, middle) if passed else (middle, high)
    return high


def _log_wealth(gain: Floats, anytime: bool) -> float:
    """Return the log of the mean wealth over the stakes, for gains of at least -1 per unit."""
    if gain.size == 0:
        return 0.0
    from scipy import special

    stakes = np.asarray(STAKES)[:, None]
    carried, highest, wealth = np.zeros((len(STAKES), 1)), -math.inf, np.zeros(1)
    for start in range(0, gain.size, ROWS_AT_ONCE):
        rows = np.maximum(gain[start : start + ROWS_AT_ONCE], -1.0)
        per_row = np.log1p(stakes * rows[None, :])
        per_row[:, :1] += carried
        paths = np.cumsum(per_row, axis=1) if anytime else per_row.sum(axis=1, keepdims=True)
        wealth = special.logsumexp(paths, axis=0) - math.log(len(STAKES))
        carried, highest = paths[:, -1:], max(highest, float(wealth.max()))
    # A lucky beginning is not used in favour of a claim that the rows as a whole contradict.
    return highest if anytime and gain.sum() > 0.0 else float(wealth[-1])


def _check_epsilon(epsilon: float) -> None:
    if not -1.0 < epsilon < 1.0:
        raise DataError(f"epsilon is {epsilon!r}; it must lie strictly between -1 and 1.")


@cache
def accuracy_needed(n: int, target: float, delta: float) -> int | None:
    """Return the fewest correct of n that certify an accuracy above `target`; None when n do not.

    Source: inversion of `accuracy_p_value`.
    """
    passed = np.flatnonzero(accuracy_p_value(np.arange(n + 1), n, target) <= delta)
    return int(passed[0]) if passed.size else None
