"""Test many thresholds with one error chance, and find one that keeps its word.

The promise here: the accuracy of the answers whose confidence is at least the threshold exceeds
the target, with chance at least 1 - delta. Rows used here are spent: they may not have chosen
the confidence, its calibration or the target. Levels are tested from a start towards lower
confidence, each at the whole of delta, until one fails. Only the start differs: at the fewest
rows that can pass (few rows), learned from a small pilot split off (AUTO), or from other rows
(WARM).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats import bounds
from stepdown.stats.arrays import Floats, Groups, Ints, probability
from stepdown.stats.kept_rows import KeptRows, kept_rows
from stepdown.stats.start import choose_start

FIRST_SHARE = 0.85  # of delta, for the first of two starts; the rest for the second
# Both chosen on the synthetic populations of benchmarks/traffic/synthetic.py, and confirmed on
# the recorded ones: bench_thresholds.py prints both.
PILOT_SHARE = 0.1  # of the rows, when there are enough to split
ENOUGH_TO_SPLIT = 10  # times the fewest rows that can pass
UNLABELLED_STEP = 0.005  # of traffic, between thresholds laid by unlabelled confidences
CITATIONS = {
    "exact": "exact binomial tests in a fixed sequence (Angelopoulos et al. 2021, Learn then Test)",
    "graded": "betting (Waudby-Smith and Ramdas 2023) in a fixed sequence",
    "groups": "betting on group sums (Waudby-Smith and Ramdas 2023) in a fixed sequence",
}


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
    kept. `start` is a threshold chosen on *other* rows (WARM, see `warm_start`); without it AUTO
    draws a pilot of a tenth of the rows to choose one, or with few rows begins at the fewest that
    can pass. `unlabelled` confidences, when given, lay the thresholds; by default the labelled
    ones do, at the sizes at which the exact test wastes nothing. `seed` is a digest of the data: it
    draws the pilot and orders the bets, and is never changed to try again. `groups` are tested by
    betting on group sums.
    Assumes rows (groups) drawn independently from the traffic that will be served. Exact when
    `unlabelled` lays the thresholds; laid by the labelled confidences it is exact too where
    accuracy falls with confidence, and otherwise up to which rows happen to border a threshold:
    tests/stats/test_validity_study.py.
    """
    probability("target", target)
    probability("delta", delta)
    rows = kept_rows(confidence, score, target, seed, graded=graded, groups=groups)
    if rows.confidence.size == 0:
        return _verdict(rows, np.zeros(0), (), "none: no row has a confidence", 0, delta)
    if start is not None:
        return _from_threshold(rows, _grid(rows, unlabelled, delta), start, delta)
    if rows.n >= ENOUGH_TO_SPLIT * rows.fewest(delta):
        return _with_pilot(rows, unlabelled, seed, delta)
    grid, fewest = _grid(rows, unlabelled, delta), rows.fewest(delta)
    label = f"AUTO, start at {fewest} rows"
    return _test(rows, grid, _first_holding(rows.kept_at(grid), fewest), label, 0, delta)


def warm_start(
    confidence: ArrayLike, score: ArrayLike, target: float, delta: float, n: int
) -> float | None:
    """Return the threshold at which a test of n fresh rows should start; None without a row.

    `confidence` and `score` (0..1) are other labelled rows: the tune set or the last period.
    They may not enter the test. See `stepdown.stats.start`.
    """
    probability("target", target)
    rows = kept_rows(confidence, score, target, 0, graded=True)
    if rows.confidence.size == 0:
        return None
    fresh = _repeated(rows, n)
    grid = fresh.levels(probability("delta", delta))
    level = _learned(rows, fresh, grid, delta)
    return None if level is None else float(grid[level])


def _repeated(rows: KeptRows, n: int) -> KeptRows:
    """Return n rows with the confidences of these, evenly repeated, to plan a test on."""
    places = (np.arange(n) * rows.confidence.size) // max(n, 1)
    none = np.zeros(n)
    return KeptRows(rows.confidence[places], none, rows.target, False, places, None, n)


def _grid(rows: KeptRows, unlabelled: ArrayLike | None, delta: float) -> Floats:
    if unlabelled is not None:
        return threshold_grid(unlabelled, UNLABELLED_STEP)
    return rows.levels(delta) if rows.exact else threshold_grid(rows.confidence)


def _from_threshold(rows: KeptRows, grid: Floats, start: float, delta: float) -> KeptCertificate:
    level = min(int(np.searchsorted(-grid, -start)), grid.size - 1)
    return _test(rows, grid, level, "WARM", 0, delta)


def _with_pilot(
    rows: KeptRows, unlabelled: ArrayLike | None, seed: int, delta: float
) -> KeptCertificate:
    pilot, rest = rows.split(PILOT_SHARE, seed)
    grid, n_pilot = _grid(rest, unlabelled, delta), pilot.score.size
    label = f"AUTO, start by a pilot of {n_pilot} rows"
    return _test(rest, grid, _learned(pilot, rest, grid, delta), label, n_pilot, delta)


def _learned(pilot: KeptRows, rest: KeptRows, grid: Floats, delta: float) -> int | None:
    """Return the level from which the rest should be tested, or None when none can pass."""
    kept = rest.kept_at(grid)
    first = _first_holding(kept, rest.fewest(delta))
    if first is None:
        return None
    needed = rest.needed(kept[first:], delta)
    return first + choose_start(
        pilot.confidence, pilot.score, grid[first:], kept[first:], needed, rest.confidence.size
    )


def _first_holding(held: Ints, rows: int) -> int | None:
    enough = np.flatnonzero(held >= rows)
    return int(enough[0]) if enough.size else None


def _test(
    rows: KeptRows, grid: Floats, start: int | None, label: str, n_pilot: int, delta: float
) -> KeptCertificate:
    if start is None:
        few = f"none: fewer than {rows.fewest(delta)} rows"
        return _verdict(rows, grid, (), few, n_pilot, delta)
    kept = rows.kept_at(grid).tolist()
    steps = fallback_path(grid.size, lambda level: rows.p_value(kept[level]), {start: delta})
    return _verdict(rows, grid, steps, f"{label}; {_citation(rows)}", n_pilot, delta)


def _citation(rows: KeptRows) -> str:
    if rows.exact:
        return CITATIONS["exact"]
    return CITATIONS["graded" if rows.groups is None else "groups"]


def _verdict(
    rows: KeptRows,
    grid: Floats,
    steps: tuple[Step, ...],
    method: str,
    n_pilot: int,
    delta: float,
) -> KeptCertificate:
    kept = rows.kept_at(grid).tolist()
    passed = [level for level, step in enumerate(steps) if step.passed]
    best = passed[-1] if passed else None
    return KeptCertificate(
        threshold=None if best is None else float(grid[best]),
        method=method,
        n=rows.n,
        n_pilot=n_pilot,
        kept=0 if best is None else kept[best],
        lower_bound=None if best is None else rows.lower_bound(kept[best], delta),
        target=rows.target,
        delta=delta,
        n_min=bounds.n_min(rows.target, delta),
        path=tuple(
            TestedLevel(
                float(grid[level]),
                kept[level],
                float(rows.sums[kept[level]]),
                step.p_value,
                step.allowed,
                step.passed,
            )
            for level, step in enumerate(steps)
        ),
    )
