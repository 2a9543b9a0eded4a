"""What others do to choose a threshold, to measure ours against: valid peers and broken habits.

Every rule has one shape: 0/1 rows in, the lowest threshold that it would serve, or None. The
rules in PEERS keep the promise "accuracy of the kept answers > target" with chance 1 - delta;
those in HABITS do not, and exist only to show it. Nothing in the product calls any of them.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from stepdown.stats import bounds
from stepdown.stats.arrays import Bools, Floats, Ints
from stepdown.stats.kept_rows import KeptRows, kept_rows
from stepdown.stats.sequence import threshold_grid

Rule = Callable[[ArrayLike, ArrayLike, float, float], float | None]
BONFERRONI_LEVELS = 20


def learn_then_test(
    confidence: ArrayLike, score: ArrayLike, target: float, delta: float
) -> float | None:
    """Return the threshold of exact binomial tests from the most confident end, until one fails.

    It begins at the first of 2.5% steps that holds enough rows to pass at all.
    Source: Angelopoulos, Bates, Candes, Jordan and Lei (2021), Learn then Test, fixed sequence.
    """
    rows, grid = _rows_and_grid(confidence, score, target)
    kept = rows.kept_at(grid)
    p = bounds.accuracy_p_value(rows.sums[kept], kept, target)
    return _sequence(grid, p <= delta, kept >= bounds.n_min(target, delta))


def hoeffding_bentkus(
    confidence: ArrayLike, score: ArrayLike, target: float, delta: float
) -> float | None:
    """Return `learn_then_test` with the Hoeffding-Bentkus p-value in the place of the exact one.

    Source: Bates, Angelopoulos, Lei, Malik and Jordan (2021), equation 5: the lesser of
    exp(-n h(loss, 1 - target)) and e times the binomial tail.
    """
    rows, grid = _rows_and_grid(confidence, score, target)
    kept = rows.kept_at(grid)
    p = hoeffding_bentkus_p_value(rows.sums[kept], kept, target)
    possible = hoeffding_bentkus_p_value(kept.astype(np.float64), kept, target) <= delta
    return _sequence(grid, p <= delta, possible)


def hoeffding_bentkus_p_value(correct: Floats, n: Ints, target: float) -> Floats:
    """Return the p-value of H0 "accuracy <= target"; see `hoeffding_bentkus`."""
    from scipy import special

    accuracy = np.maximum(correct / np.maximum(n, 1), target)
    gap = special.rel_entr(accuracy, target) + special.rel_entr(1.0 - accuracy, 1.0 - target)
    bentkus = math.e * bounds.accuracy_p_value(correct, n, target)
    return np.asarray(np.minimum(np.exp(-n * gap), np.minimum(bentkus, 1.0)))


def selection_with_guaranteed_risk(
    confidence: ArrayLike, score: ArrayLike, target: float, delta: float
) -> float | None:
    """Return the widest passing threshold of a binary search with delta / ceil(log2 n) a step.

    Source: Geifman and El-Yaniv (2017), "Selective classification for deep neural networks",
    algorithm 2 (SGR), with the exact binomial tail of its lemma.
    """
    rows = kept_rows(confidence, score, target, 0)
    narrow, wide, best = 1, rows.confidence.size, None
    steps = math.ceil(math.log2(max(wide, 2)))
    for _ in range(steps if wide else 0):
        middle = math.ceil((narrow + wide) / 2)
        kept = int(rows.boundaries[np.searchsorted(rows.boundaries, middle)])
        if rows.p_value(kept) <= delta / steps:
            best, narrow = kept, middle
        else:
            wide = middle
    return None if best is None else float(rows.confidence[best - 1])


def bonferroni(
    confidence: ArrayLike, score: ArrayLike, target: float, delta: float
) -> float | None:
    """Return the lowest of 20 thresholds, each keeping 5% more, whose exact bound exceeds target.

    Source: Clopper and Pearson (1934) with the Bonferroni correction.
    """
    rows = kept_rows(confidence, score, target, 0)
    size = rows.confidence.size
    shares = np.ceil(np.arange(1, BONFERRONI_LEVELS + 1) / BONFERRONI_LEVELS * size).astype(int)
    kept = rows.boundaries[np.searchsorted(rows.boundaries, shares)] if size else shares[:0]
    p = bounds.accuracy_p_value(rows.sums[kept], kept, target)
    return _widest(rows.confidence[kept - 1], p <= delta / BONFERRONI_LEVELS)


def observed_accuracy(
    confidence: ArrayLike, score: ArrayLike, target: float, delta: float
) -> float | None:
    """Return the lowest threshold whose observed accuracy is at least the target: no promise."""
    del delta
    rows, grid = _rows_and_grid(confidence, score, target)
    kept = rows.kept_at(grid)
    return _widest(grid, rows.sums[kept] >= target * kept)


def normal_bound(
    confidence: ArrayLike, score: ArrayLike, target: float, delta: float
) -> float | None:
    """Return the lowest threshold at which accuracy - z sd / sqrt(n) >= target: no promise.

    The plug-in sd is 0 where all kept answers are right, and the best of many is picked.
    """
    from scipy import special

    rows, grid = _rows_and_grid(confidence, score, target)
    kept = rows.kept_at(grid)
    mean = rows.sums[kept] / kept
    margin = special.ndtri(1.0 - delta) * np.sqrt(mean * (1.0 - mean) / kept)
    return _widest(grid, mean - margin >= target)


def raw_confidence(
    confidence: ArrayLike, score: ArrayLike, target: float, delta: float
) -> float | None:
    """Return the target itself, as if the confidence were the accuracy: no promise."""
    del confidence, score, delta
    return target


PEERS: Mapping[str, Rule] = MappingProxyType(
    {
        "Learn-then-Test": learn_then_test,
        "SGR": selection_with_guaranteed_risk,
        "Bonferroni (20)": bonferroni,
        "Hoeffding-Bentkus": hoeffding_bentkus,
    }
)
HABITS: Mapping[str, Rule] = MappingProxyType(
    {
        "observed accuracy": observed_accuracy,
        "normal bound": normal_bound,
        "raw confidence": raw_confidence,
    }
)


def _rows_and_grid(
    confidence: ArrayLike, score: ArrayLike, target: float
) -> tuple[KeptRows, Floats]:
    rows = kept_rows(confidence, score, target, 0)
    return rows, threshold_grid(rows.confidence)


def _sequence(grid: Floats, passed: Bools, possible: Bools) -> float | None:
    """Return the last of the unbroken run of passes from the first level that can pass."""
    begin = np.flatnonzero(possible)
    if not begin.size:
        return None
    failed = np.flatnonzero(~passed[begin[0] :])
    run = int(failed[0]) if failed.size else grid.size - int(begin[0])
    return float(grid[begin[0] + run - 1]) if run else None


def _widest(grid: Floats, passed: Bools) -> float | None:
    good = np.flatnonzero(passed)
    return float(grid[good[-1]]) if good.size else None
