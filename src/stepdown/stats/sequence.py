"""Test many thresholds with one error chance, and find one that keeps its word.

The promise here: the accuracy of the answers whose confidence is at least the threshold exceeds
the target, with chance at least 1 - delta. Rows used here are spent: they may not have chosen
the confidence, its calibration or the target. Where the methods differ is only in where the
fixed sequence starts: on a pilot split off (many rows), at two sizes fixed in advance (few
rows), or at a threshold chosen on other rows (WARM).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats import bounds
from stepdown.stats.arrays import (
    Bools,
    Floats,
    Groups,
    Ints,
    group_codes,
    is_binary,
    probability,
    vector,
)

FIRST_SHARE = 0.85  # of delta, for the first start; the rest for the second
PILOT_SHARE = 0.25  # of the rows, when there are enough to split
ENOUGH_TO_SPLIT = 30  # times n_min
# (rows at least this many times n_min, first and second start in times n_min); from a study over 11
# populations, 4 sizes and 2 targets made before this code, not repeated in this repository.
STARTS = ((8, 4, 10), (3, 2, 6))
CITATION = (
    "exact binomial tests in a fixed sequence (Angelopoulos et al. 2021, Learn then Test) with "
    "fallback (Wiens 2003)"
)


@dataclass(frozen=True, slots=True)
class TestedLevel:
    """One threshold of the path: its rows, its p-value, and what it was allowed to be.

    `total` sums the scores of the kept rows; p_value is None where no delta was left to test it.
    """

    threshold: float
    n_kept: int
    total: float
    p_value: float | None
    allowed: float
    passed: bool

    @property
    def mean(self) -> float | None:
        """Return the observed accuracy of the kept rows; None when there are none."""
        return self.total / self.n_kept if self.n_kept else None


@dataclass(frozen=True, slots=True)
class KeptCertificate:
    """The threshold that was certified, or None, with everything that was tested.

    `lower_bound` is the one-sided bound at the chosen threshold alone, for display: the promise
    is `target`. `n` counts the rows that tested, `n_pilot` those that only chose the start.
    """

    threshold: float | None
    method: str
    n: int
    n_pilot: int
    kept: int
    lower_bound: float | None
    target: float
    delta: float
    n_min: int
    path: tuple[TestedLevel, ...]

    @property
    def certified(self) -> bool:
        """Say whether a threshold passed."""
        return self.threshold is not None


def kept_levels(step: float = 0.025, smallest: float = 0.002) -> Floats:
    """Return shares of traffic, growing: by a factor of 1.4 below 5%, then in steps of `step`."""
    probability("step", step)
    few = np.geomspace(smallest, 0.05, max(2, 1 + math.ceil(math.log(0.05 / smallest, 1.4))))
    return np.unique(np.concatenate([few, np.arange(0.05 + step, 1.0, step), [1.0]]))


def threshold_grid(confidence: ArrayLike, step: float = 0.025) -> Floats:
    """Return thresholds, falling, that keep growing shares of unlabelled confidences.

    A row is kept when its confidence is >= the threshold; NaN (no confidence) is never kept.
    Ties give one threshold. Empty when no row has a confidence.
    """
    rows = np.asarray(confidence, dtype=np.float64)
    known = np.sort(rows[~np.isnan(rows)])[::-1]
    if known.size == 0:
        return np.zeros(0)
    places = np.ceil(kept_levels(step) * known.size - 1e-9).astype(int) - 1
    return np.unique(known[np.clip(places, 0, known.size - 1)])[::-1]


def fixed_sequence(p_values: Sequence[float], delta: float, start: int = 0) -> int | None:
    """Return the last hypothesis rejected from `start` on before the first that is not, or None.

    Controls the family-wise error at delta when `start` did not come from these rows.
    Source: Maurer, Hothorn and Lehmacher (1995).
    """
    passed = fallback(p_values, {start: delta})
    chain = [i for i in range(start, len(p_values)) if all(passed[start : i + 1])]
    return chain[-1] if chain else None


def fallback(p_values: Sequence[float], deltas_at_starts: Mapping[int, float]) -> tuple[bool, ...]:
    """Say which hypotheses are rejected, in order, each with its own share of delta.

    A hypothesis is tested at its own share plus all that its predecessor, if rejected, passes on.
    Controls the family-wise error at the sum of the shares. Source: Wiens (2003).
    """
    lookup = list(p_values)
    return tuple(r.passed for r in fallback_path(len(lookup), lookup.__getitem__, deltas_at_starts))


@dataclass(frozen=True, slots=True)
class Step:
    """One hypothesis of a fallback procedure; its p-value is None when nothing was spent on it."""

    p_value: float | None
    allowed: float
    passed: bool


def fallback_path(
    size: int, p_value: Callable[[int], float], deltas_at_starts: Mapping[int, float]
) -> tuple[Step, ...]:
    """Run `fallback`, asking for a p-value only where some delta is left to spend."""
    if any(not 0 <= start < size for start in deltas_at_starts):
        raise DataError(f"starts {sorted(deltas_at_starts)} must lie in 0..{size - 1}.")
    steps: list[Step] = []
    passed_on = 0.0
    for index in range(size):
        allowed = passed_on + deltas_at_starts.get(index, 0.0)
        value = p_value(index) if allowed > 0.0 else None
        passed = value is not None and value <= allowed
        steps.append(Step(value, allowed, passed))
        passed_on = allowed if passed else 0.0
    return tuple(steps)


def shares(first: int, second: int | None, delta: float) -> dict[int, float]:
    """Return delta split over two starts; without a second the first has it all."""
    if second is None or second == first:
        return {first: delta}
    return {first: FIRST_SHARE * delta, second: (1.0 - FIRST_SHARE) * delta}


@dataclass(frozen=True, slots=True)
class _Kept:
    """Rows reduced to what the tests read: for each threshold how many are kept, and their sum."""

    thresholds: Floats
    confidence: Floats
    score: Floats
    target: float
    graded: bool
    order: Ints
    groups: Ints | None

    def rows(self, level: int) -> Bools:
        return np.asarray(self.confidence >= self.thresholds[level])

    def tally(self, level: int) -> tuple[int, float]:
        kept = self.rows(level)
        return int(kept.sum()), float(self.score[kept].sum())

    def p_value(self, level: int) -> float:
        kept = self.rows(level)
        if self.groups is not None:
            excess = self.score[kept] - self.target
            log_e = bounds.cluster_log_evalue(excess, self.groups[kept], self.target)
            return float(bounds.p_from_log_e(log_e))
        if self.graded:
            values = self.score[self.order][kept[self.order]]
            log_e = bounds.log_evalue(values, self.target, anytime=True)
            return float(bounds.p_from_log_e(log_e))
        return float(bounds.accuracy_p_value(self.score[kept].sum(), kept.sum(), self.target))

    def lower_bound(self, level: int, delta: float) -> float | None:
        kept = self.rows(level)
        if self.groups is not None:
            return None
        if self.graded:
            values = self.score[self.order][kept[self.order]]
            return bounds.mean_lower_bound(values, delta, anytime=True)
        return bounds.accuracy_lower_bound(int(self.score[kept].sum()), int(kept.sum()), delta)

    def only(self, chosen: Bools) -> "_Kept":
        place = np.cumsum(chosen) - 1
        return _Kept(
            self.thresholds,
            self.confidence[chosen],
            self.score[chosen],
            self.target,
            self.graded,
            place[self.order[chosen[self.order]]],
            None if self.groups is None else self.groups[chosen],
        )


def certify_kept_accuracy(
    confidence: ArrayLike,
    score: ArrayLike,
    target: float,
    delta: float,
    seed: int,
    *,
    unlabelled: ArrayLike | None = None,
    start: float | None = None,
    graded: bool = False,
    groups: Groups | None = None,
) -> KeptCertificate:
    """Find the lowest threshold whose kept answers score above `target`, with chance 1 - delta.

    `confidence` and `score` (0/1; 0..1 when `graded`) are labelled rows, NaN confidence is never
    kept. `unlabelled` confidences, by default the labelled ones, lay the grid. `start` is a
    threshold chosen on *other* rows (WARM); without it AUTO chooses how to start from the number
    of rows alone. `seed` is a digest of the data: it draws the pilot and nothing else for 0/1
    scores, and is never changed to try again. `groups` are tested by betting on group sums.
    Assumes rows (groups) drawn independently from the traffic that will be served.
    """
    probability("target", target)
    probability("delta", delta)
    data = _kept(confidence, score, target, seed, unlabelled, graded, groups)
    fewest = bounds.n_min(target, delta)
    if data.thresholds.size == 0:
        return _verdict(data, (), {}, "none: no row has a confidence", 0, delta, fewest)
    if start is not None:
        return _test(data, {_level_of(data, start): delta}, "WARM", 0, delta, fewest)
    if data.score.size >= ENOUGH_TO_SPLIT * fewest:
        return _with_pilot(data, seed, delta, fewest)
    starts = _starts_by_size(data, fewest, delta)
    return _test(data, starts, "AUTO, starts by size", 0, delta, fewest)


def _kept(
    confidence: ArrayLike,
    score: ArrayLike,
    target: float,
    seed: int,
    unlabelled: ArrayLike | None,
    graded: bool,
    groups: Groups | None,
) -> _Kept:
    known = np.asarray(confidence, dtype=np.float64)
    scores = vector("score", score, 0.0, 1.0)
    if known.shape != scores.shape:
        raise DataError(f"{known.size} confidences and {scores.size} scores; pairs are needed.")
    if not graded and not is_binary(scores):
        raise DataError("score: expected only 0 and 1.", "For graded scores say graded=True.")
    grid = threshold_grid(known if unlabelled is None else unlabelled)
    codes = None if groups is None else group_codes(groups, scores.size)
    order = np.random.default_rng(seed).permutation(scores.size)
    return _Kept(grid, known, scores, target, graded, order, codes)


def _level_of(data: _Kept, start: float) -> int:
    """Return the first level whose threshold is at most `start`, or the last level."""
    return min(int(np.searchsorted(-data.thresholds, -start)), data.thresholds.size - 1)


def _starts_by_size(data: _Kept, fewest: int, delta: float) -> dict[int, float]:
    held = np.array([data.tally(level)[0] for level in range(data.thresholds.size)])
    for least, first, second in STARTS:
        if data.score.size >= least * fewest:
            begin = _first_holding(held, first * fewest)
            if begin is not None:
                return shares(begin, _first_holding(held, second * fewest), delta)
    begin = _first_holding(held, fewest)
    return {} if begin is None else {begin: delta}


def _first_holding(held: Ints, rows: int) -> int | None:
    enough = np.flatnonzero(held >= rows)
    return int(enough[0]) if enough.size else None


def _with_pilot(data: _Kept, seed: int, delta: float, fewest: int) -> KeptCertificate:
    pilot = _draw_pilot(data, seed)
    chosen = _best_level(data.only(pilot), fewest * PILOT_SHARE)
    rest = data.only(~pilot)
    label = f"AUTO, start by a pilot of {int(pilot.sum())} rows"
    return _test(rest, {chosen: delta}, label, int(pilot.sum()), delta, fewest)


def _draw_pilot(data: _Kept, seed: int) -> Bools:
    """Draw a quarter of the rows, or of the groups, at random."""
    codes = np.arange(data.score.size) if data.groups is None else data.groups
    units = int(codes.max()) + 1
    drawn = np.random.default_rng([seed, 1]).permutation(units) < PILOT_SHARE * units
    return np.asarray(drawn[codes])


def _best_level(pilot: _Kept, fewest: float) -> int:
    """Return the level with the largest z = (accuracy - target) / its standard error at target."""
    tallies = [pilot.tally(level) for level in range(pilot.thresholds.size)]
    spread = math.sqrt(pilot.target * (1.0 - pilot.target))
    z = [
        (total - kept * pilot.target) / (spread * math.sqrt(kept)) if kept >= fewest else -math.inf
        for kept, total in tallies
    ]
    return int(np.argmax(z))


def _test(
    data: _Kept, starts: Mapping[int, float], label: str, n_pilot: int, delta: float, fewest: int
) -> KeptCertificate:
    if not starts:
        return _verdict(data, (), {}, f"none: fewer than {fewest} rows", n_pilot, delta, fewest)
    steps = fallback_path(data.thresholds.size, data.p_value, starts)
    return _verdict(data, steps, starts, f"{label}; {_citation(data)}", n_pilot, delta, fewest)


def _citation(data: _Kept) -> str:
    if data.groups is not None:
        return "betting on group sums (Waudby-Smith and Ramdas 2023) in a fixed sequence"
    if data.graded:
        return "betting (Waudby-Smith and Ramdas 2023) in a fixed sequence"
    return CITATION


def _verdict(
    data: _Kept,
    steps: tuple[Step, ...],
    starts: Mapping[int, float],
    method: str,
    n_pilot: int,
    delta: float,
    fewest: int,
) -> KeptCertificate:
    passed = [level for level, step in enumerate(steps) if step.passed]
    best = passed[-1] if passed else None
    return KeptCertificate(
        threshold=None if best is None else float(data.thresholds[best]),
        method=method,
        n=data.score.size,
        n_pilot=n_pilot,
        kept=0 if best is None else data.tally(best)[0],
        lower_bound=None if best is None else data.lower_bound(best, delta),
        target=data.target,
        delta=delta,
        n_min=fewest,
        path=tuple(_tested(data, level, step) for level, step in enumerate(steps)),
    )


def _tested(data: _Kept, level: int, step: Step) -> TestedLevel:
    kept, total = data.tally(level)
    threshold = float(data.thresholds[level])
    return TestedLevel(threshold, kept, total, step.p_value, step.allowed, step.passed)
