"""How many rows each of many policies would need, at once: a curve to look at, not a plan to buy.

For one policy and to the row, `power.labels_needed` runs the exact test at every size.
"""

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats import bounds, paired_exact
from stepdown.stats.arrays import Floats, probability

RANK_ROWS = 200  # at which the critical rank is computed: it hardly depends on the number of rows
SIZES = 24
MOST_ROWS = 10_000


def rows_for_each(
    p_minus: ArrayLike,
    p_plus: ArrayLike,
    epsilon: float,
    delta: float,
    power: float = 0.8,
    *,
    most: int = MOST_ROWS,
) -> Floats:
    """Return about how many rows certify non-inferiority at epsilon with the power asked for.

    `p_minus` and `p_plus` have shape (k,): assumed rates of rows on which each candidate scores 1
    less, and 1 more, than the ceiling. NaN where `most` rows do not reach the power. Powers are
    computed at sizes some 20% apart, and interpolated between on the logarithm of the size.
    Source: `paired_exact`, with the critical rank of 200 rows.
    """
    minus, plus = np.asarray(p_minus, dtype=np.float64), np.asarray(p_plus, dtype=np.float64)
    if minus.shape != plus.shape or (np.minimum(minus, plus) < 0).any():
        raise DataError("rates of losses and gains: expected as many of each, 0 or more.")
    fewest = bounds.n_min(1.0 - probability("epsilon", epsilon), delta)
    if not minus.size or fewest >= most:
        return np.full(minus.shape, np.nan)
    sizes = np.unique(np.geomspace(fewest, most, SIZES).astype(int))
    rank = paired_exact.critical_rank(RANK_ROWS, epsilon, delta)
    reached = np.array([_powers(int(n), rank, epsilon, minus, plus) for n in sizes])
    return np.array([_crossing(np.log(sizes), column, power) for column in reached.T])


def _powers(n: int, rank: float, epsilon: float, minus: Floats, plus: Floats) -> Floats:
    region = paired_exact.region_above(rank, n, epsilon)
    return paired_exact.chance(region, minus, plus)


def _crossing(log_sizes: Floats, reached: Floats, power: float) -> float:
    """Return the size from which on the power is reached."""
    below = np.flatnonzero(reached < power)
    if not below.size:
        return float(np.exp(log_sizes[0]))
    last = int(below[-1])
    if last + 1 == reached.size:
        return float("nan")
    part = (power - reached[last]) / (reached[last + 1] - reached[last])
    return float(np.exp(log_sizes[last] + part * (log_sizes[last + 1] - log_sizes[last])))
