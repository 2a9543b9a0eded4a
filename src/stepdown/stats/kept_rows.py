"""Labelled rows in order of confidence, and the test of each level of a list of thresholds.

A level is a threshold with the rows that it keeps. It does not know in which order levels are
tested, nor with which share of delta.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats import bounds
from stepdown.stats.arrays import Bools, Floats, Groups, Ints, group_codes, is_binary, vector

CLOSEST_SHARE = 0.005  # of all rows: levels of large data are at least so far apart,
CLOSEST_GROWTH = 0.05  # or this share of the rows of the level before, where that is less
BETTING_START = 3  # times n_min: where betting with all answers right has passed for certain


@lru_cache(maxsize=64)
def exact_sizes(n: int, target: float, delta: float) -> Ints:
    """Return the fewest rows that certify `target` with 0, 1, 2 ... wrong answers, up to n.

    Between two sizes another row right changes nothing, so a level of another size wastes part
    of its delta. Source: inversion of `bounds.accuracy_p_value`.
    """
    wrong = np.arange(int(n * (1.0 - target)) + 2)
    low, high = wrong.copy(), np.full(wrong.size, n + 1)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        passed = bounds.accuracy_p_value(middle - np.minimum(wrong, middle), middle, target)
        low, high = np.where(passed <= delta, low, middle), np.where(passed <= delta, middle, high)
    sizes = high[high <= n]
    sizes.flags.writeable = False
    return np.asarray(sizes, dtype=np.int64)


@dataclass(frozen=True)
class KeptRows:
    """Rows with a confidence, most confident first; `n` counts all rows, also those without.

    0/1 scores of independent rows get exact tests, graded ones bets in the order of `turn`, rows
    in groups bets on group sums.
    """

    confidence: Floats
    score: Floats
    target: float
    graded: bool
    turn: Ints
    groups: Ints | None
    n: int

    @property
    def exact(self) -> bool:
        """Say whether exact binomial tests apply."""
        return not self.graded and self.groups is None

    @cached_property
    def sums(self) -> Floats:
        """Return the sum of the scores of the k most confident rows, k = 0..rows."""
        return np.concatenate([[0.0], np.cumsum(self.score)])

    @cached_property
    def boundaries(self) -> Ints:
        """Return the numbers of rows that a threshold can keep: equal confidences stay together."""
        falls = np.flatnonzero(np.diff(self.confidence) < 0.0) + 1
        return np.append(falls, self.confidence.size)

    @property
    def group_size(self) -> float:
        """Return the mean number of rows of a group; 1 for independent rows."""
        return 1.0 if self.groups is None else self.groups.size / np.unique(self.groups).size

    def kept_at(self, thresholds: Floats) -> Ints:
        """Return the rows kept at each threshold: those with at least that confidence."""
        return np.searchsorted(-self.confidence, -thresholds, side="right")

    def levels(self, delta: float) -> Floats:
        """Return thresholds, falling, at which the exact test spends its delta without waste.

        The last keeps every row. Laid by confidences and counts alone, never by scores.
        """
        if self.confidence.size == 0:
            return np.zeros(0)
        sizes = _spaced(exact_sizes(self.confidence.size, self.target, delta), self.n)
        places = np.searchsorted(self.boundaries, np.append(sizes, self.confidence.size))
        return self.confidence[np.unique(self.boundaries[places]) - 1]

    def needed(self, kept: Ints, delta: float) -> Floats:
        """Return about which sum of scores passes: exactly for 0/1, roughly for a bet.

        Source of the latter: the growth of a small bet, sqrt(2 log(1/delta)) standard deviations.
        """
        if self.exact:
            sizes = exact_sizes(self.confidence.size, self.target, delta)
            return np.asarray(kept - np.searchsorted(sizes, kept, side="right") + 1.0)
        variance = self.target * (1.0 - self.target) * kept * self.group_size
        return np.asarray(kept * self.target + np.sqrt(2.0 * math.log(1.0 / delta) * variance))

    def fewest(self, delta: float) -> int:
        """Return the rows below which a test cannot, or can hardly, pass."""
        fewest = bounds.n_min(self.target, delta)
        return fewest if self.exact else math.ceil(BETTING_START * fewest * self.group_size)

    def p_value(self, kept: int) -> float:
        """Return the p-value of H0 "the mean score of the `kept` first rows is <= target"."""
        if self.exact:
            return float(bounds.accuracy_p_value(self.sums[kept], kept, self.target))
        if self.groups is not None:
            excess = self.score[:kept] - self.target
            log_e = bounds.cluster_log_evalue(excess, self.groups[:kept], self.target)
        else:
            log_e = bounds.log_evalue(self._bets(kept), self.target, anytime=True)
        return float(bounds.p_from_log_e(log_e))

    def lower_bound(self, kept: int, delta: float) -> float | None:
        """Return the one-sided bound on the mean score of the first rows; None for groups."""
        if self.groups is not None:
            return None
        if self.graded:
            return bounds.mean_lower_bound(self._bets(kept), delta, anytime=True)
        return bounds.accuracy_lower_bound(int(self.sums[kept]), kept, delta)

    def _bets(self, kept: int) -> Floats:
        return self.score[:kept][np.argsort(self.turn[:kept])]

    def split(self, share: float, seed: int) -> tuple["KeptRows", "KeptRows"]:
        """Return (a random share of the rows, or of the groups; the rest)."""
        codes = np.arange(self.score.size) if self.groups is None else self.groups
        units = int(codes.max()) + 1
        drawn = np.random.default_rng([seed, 1]).permutation(units) < round(share * units)
        return self._only(drawn[codes]), self._only(~drawn[codes])

    def _only(self, chosen: Bools) -> "KeptRows":
        return KeptRows(
            self.confidence[chosen],
            self.score[chosen],
            self.target,
            self.graded,
            self.turn[chosen],
            None if self.groups is None else self.groups[chosen],
            round(self.n * float(chosen.mean())),
        )


def kept_rows(
    confidence: ArrayLike,
    score: ArrayLike,
    target: float,
    seed: int,
    *,
    graded: bool = False,
    groups: Groups | None = None,
) -> KeptRows:
    """Sort and check labelled rows; a row without a confidence (NaN) is counted and left out."""
    known = np.asarray(confidence, dtype=np.float64)
    scores = vector("score", score, 0.0, 1.0)
    if known.shape != scores.shape:
        raise DataError(f"{known.size} confidences and {scores.size} scores; pairs are needed.")
    if not graded and not is_binary(scores):
        raise DataError("score: expected only 0 and 1.", "For graded scores say graded=True.")
    codes = None if groups is None else group_codes(groups, scores.size)
    if codes is not None and np.unique(codes).size == scores.size:
        codes = None  # every row is a group of its own: independent rows
    turn = np.random.default_rng(seed).permutation(scores.size)
    order = np.argsort(-known, kind="stable")[: int((~np.isnan(known)).sum())]
    return KeptRows(
        known[order],
        scores[order],
        target,
        graded,
        turn[order],
        None if codes is None else codes[order],
        scores.size,
    )


def _spaced(sizes: Ints, n: int) -> Ints:
    """Leave out sizes that hardly differ from the one before."""
    kept: list[int] = []
    for size in sizes.tolist():
        last = kept[-1] if kept else 0
        if size - last >= min(CLOSEST_SHARE * n, CLOSEST_GROWTH * last):
            kept.append(size)
    return np.asarray(kept, dtype=np.int64)
