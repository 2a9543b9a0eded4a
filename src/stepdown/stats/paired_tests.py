"""Two-sided tests of "no difference" on paired scores: exact for 0/1 rows, by signs otherwise.

They answer whether two runs differ at all. Whether a loss stays below a limit is another question
(`noninferiority`), and a decision uses that one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats.arrays import Floats, Groups, group_codes, is_binary

EXACT_SIGNS = 12  # units that differ: up to 4,096 sign patterns are all looked at
DRAWS = 10_000
DRAWN_CELLS = 4_000_000
TOUCHED = 1e-12


@dataclass(frozen=True, slots=True)
class PairedTest:
    """A p-value with its method; `units` are the rows, or groups of rows, that differ at all."""

    p_value: float
    method: str
    units: int


def no_difference(
    a: ArrayLike, b: ArrayLike, groups: Groups | None = None, seed: int = 0
) -> PairedTest:
    """Test whether the mean of a - b is 0, on scores of the same rows.

    Independent 0/1 scores: the exact test on the rows that differ (McNemar 1947, exact binomial).
    Otherwise signs of the differences, or of their sums over groups, are flipped (Fisher 1935,
    Pitman 1937): all patterns up to 12 units, beyond that 10,000 drawn ones, of which the observed
    one is one (Phipson and Smyth 2010). Under the null a unit's difference is symmetric around 0.
    """
    gap = np.subtract(np.asarray(a, dtype=float), np.asarray(b, dtype=float))
    if np.asarray(a).shape != np.asarray(b).shape:
        raise DataError("a and b differ in length; pairs are needed.")
    both = np.concatenate([np.ravel(a), np.ravel(b)]).astype(float)
    if groups is None and is_binary(both):
        return _mcnemar(int(np.sum(gap > 0)), int(np.sum(gap < 0)))
    sums = gap if groups is None else np.bincount(group_codes(groups, gap.size), weights=gap)
    units = np.sort(np.abs(sums[np.abs(sums) > TOUCHED]))
    observed = abs(float(sums.sum()))
    if units.size <= EXACT_SIGNS:
        return _all_signs(units, observed)
    return _drawn_signs(units, observed, seed)


def _mcnemar(plus: int, minus: int) -> PairedTest:
    from scipy import stats

    n = plus + minus
    p = 1.0 if n == 0 else float(stats.binomtest(plus, n, 0.5).pvalue)
    return PairedTest(p, "exact test on the rows that differ (McNemar 1947)", n)


def _all_signs(units: Floats, observed: float) -> PairedTest:
    patterns = 1 << units.size
    signs = 1 - 2 * ((np.arange(patterns)[:, None] >> np.arange(units.size)) & 1)
    p = float(np.mean(np.abs(signs @ units) >= observed - TOUCHED)) if units.size else 1.0
    return PairedTest(p, "all flips of signs (Fisher 1935)", units.size)


def _drawn_signs(units: Floats, observed: float, seed: int) -> PairedTest:
    generator = np.random.default_rng(seed)
    step, met, done = max(1, DRAWN_CELLS // units.size), 0, 0
    while done < DRAWS:
        many = min(step, DRAWS - done)
        signs = generator.integers(0, 2, size=(many, units.size), dtype=np.int8) * 2 - 1
        met += int(np.sum(np.abs(signs @ units) >= observed - TOUCHED))
        done += many
    p = (met + 1) / (DRAWS + 1)
    return PairedTest(p, "10,000 flips of signs (Fisher 1935, Pitman 1937)", units.size)
