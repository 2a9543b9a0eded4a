"""A measured method that no verb reaches yet.

Choose which rows of a batch to label, to keep as many answers as a target allows.

The promise is about this batch: the answers whose confidence is at least the threshold are right
more often than `target`, unlabelled ones included, with chance at least 1 - delta. A quarter of
the budget is drawn everywhere and only plans; then rows are drawn down to a level at one density
and tested there, level by level, each new level's rows labelled only when the one before passed.
What is left is planned again ("restart") with its own share of delta.

Why it is valid: a stage's start, density and random order are fixed before its first label; given
the labels of earlier stages, the rows that it draws down to any level are a simple random sample
of the unlabelled ones there, so the hypergeometric tail is a p-value however many levels are
looked at, and a fixed sequence needs no more than the stage's delta. Earlier labels are known
numbers in the null hypothesis, not evidence. The stages' deltas add up to delta.
Sources: the exact hypergeometric test; Maurer, Hothorn and Lehmacher (1995), fixed sequence.
"""

from dataclasses import dataclass

import numpy as np

from label_batch_plan import Seen, spend
from stepdown.errors import DataError
from stepdown.stats.arrays import Bools, Floats, Ints, probability, zero_one
from stepdown.stats.labelling import Wanted
from stepdown.stats.sequence import threshold_grid

PILOT_SHARE = 0.25  # of the budget
STAGE_SHARES = (0.8, 0.2)  # of delta; these two and the pilot measured in benchmarks/bench_labels
FEWEST_LABELS = 20  # left over: fewer are not worth another stage


@dataclass(frozen=True, slots=True)
class BatchQuestion:
    """A batch with the confidence of each answer (NaN: never kept), and what to spend.

    `budget` counts labels; `seed` is a digest of the batch and draws the rows.
    """

    confidence: Floats
    target: float
    delta: float
    budget: int
    seed: int

    def __post_init__(self) -> None:
        probability("target", self.target)
        probability("delta", self.delta)
        if self.confidence.ndim != 1 or self.budget < 0:
            raise DataError(
                f"confidence of shape {self.confidence.shape}, budget {self.budget}: "
                "expected one dimension and a budget of at least 0."
            )


@dataclass(frozen=True, slots=True)
class Stage:
    """One test along the levels: where it started, at which density, what it reached."""

    start: int
    density: float
    delta: float
    certified: int


@dataclass(frozen=True, slots=True)
class BatchStanding:
    """The threshold certified so far (None: none), and the rows to label next (none: finished).

    `kept` rows of the batch have at least that confidence; `asked` were asked for so far, the
    `wanted` ones included, of which labels beyond the budget are never asked.
    """

    threshold: float | None
    kept: int
    asked: int
    wanted: Wanted
    stages: tuple[Stage, ...]

    @property
    def finished(self) -> bool:
        """Say whether no more labels are asked for."""
        return self.wanted.rows.size == 0


def standing(question: BatchQuestion, known: Bools, correct: Floats) -> BatchStanding:
    """Say what the labels certify, and which rows to label next; a pure function of its values.

    `known` (n,) says which rows are labelled, `correct` (n,) is 0 or 1, read only there. Labels
    of rows that were not asked for are ignored. Call it again with the wanted labels until it is
    finished; on the way the threshold only falls.
    """
    return _Walk(question, known, zero_one("correct", np.where(known, correct, 0.0))).run()


class _Walk:
    """Replays the whole procedure on the labels at hand, up to the first that is missing."""

    def __init__(self, question: BatchQuestion, known: Bools, correct: Floats) -> None:
        self.question = question
        self.known, self.correct = known, correct
        self.thresholds = threshold_grid(question.confidence)
        self.level = _levels(question.confidence, self.thresholds)
        self.asked = np.zeros(known.size, dtype=bool)
        self.certified = 0  # levels
        self.stages: list[Stage] = []

    def run(self) -> BatchStanding:
        inside = self.level < self.thresholds.size
        pilot = _first(inside, int(PILOT_SHARE * self.question.budget), self._draw(0))
        if not self._ask(pilot):
            return self._standing(pilot, "drawn everywhere, to plan")
        for number, share in enumerate(STAGE_SHARES, 1):
            missing = self._stage(number, share * self.question.delta)
            if missing is not None:
                return self._standing(missing, "drawn at random down to the level in question")
        return self._standing(np.zeros(self.known.size, dtype=bool), "finished")

    def _stage(self, number: int, delta: float) -> Bools | None:
        """Plan and test; return rows whose labels are missing, or None when it is over."""
        left = self.question.budget - int(self.asked.sum())
        if left < FEWEST_LABELS or self.certified == self.thresholds.size:
            return None
        before = self.asked.copy()
        seen = self._seen(before)
        rng = np.random.default_rng([self.question.seed, 5, number])
        plan = spend(seen, left, self.question.target, delta, self.certified, rng)
        drawn = (self._draw(number) < plan.density) & ~before
        reached = self.certified
        for level in range(plan.start, self.thresholds.size):
            rows = drawn & (self.level <= level)
            if (rows | self.asked).sum() > self.question.budget:
                break
            if not self._ask(rows):
                self._note(plan.start, plan.density, delta, reached)
                return rows
            if not self._p_value(seen, level, rows) <= delta:
                break
            reached = level + 1
        self._note(plan.start, plan.density, delta, reached)
        return None

    def _note(self, start: int, density: float, delta: float, reached: int) -> None:
        self.certified = reached
        self.stages.append(Stage(start, density, delta, reached))

    def _p_value(self, seen: Seen, level: int, rows: Bools) -> float:
        """Return the chance of as many right, if as few rows were right as breaks the promise."""
        from scipy import stats

        size, free = int(seen.size[level]), int(seen.free[level])
        most = int(np.ceil(self.question.target * size - 1e-9)) - 1 - round(seen.right[level])
        right, n = round(self.correct[rows].sum()), int(rows.sum())
        if right > most:
            return 0.0
        # So few were right before that even faultless unlabelled rows break it: nothing can pass.
        return float(stats.hypergeom.sf(right - 1, free, min(most, free), n))

    def _seen(self, rows: Bools) -> Seen:
        levels = self.thresholds.size
        inside = self.level < levels
        return Seen(
            width=np.bincount(self.level[inside], minlength=levels),
            labelled=np.bincount(self.level[inside & rows], minlength=levels),
            correct=_sums(self.level[inside & rows], self.correct[inside & rows], levels),
        )

    def _ask(self, rows: Bools) -> bool:
        """Count the rows as asked for, and say whether all of them are labelled."""
        self.asked |= rows
        return bool(self.known[rows].all())

    def _draw(self, number: int) -> Floats:
        return np.random.default_rng([self.question.seed, 4, number]).random(self.known.size)

    def _standing(self, rows: Bools, reason: str) -> BatchStanding:
        wanted: Ints = np.flatnonzero(rows & ~self.known)
        last = self.certified - 1
        return BatchStanding(
            threshold=float(self.thresholds[last]) if self.certified else None,
            kept=int((self.level <= last).sum()),
            asked=int(self.asked.sum()),
            wanted=Wanted(wanted, reason),
            stages=tuple(self.stages),
        )


def _levels(confidence: Floats, thresholds: Floats) -> Ints:
    """Return the first level that keeps each row; the number of levels where none does."""
    falling = np.where(np.isnan(confidence), -np.inf, confidence)
    return np.asarray(np.searchsorted(-thresholds, -falling, side="left"), dtype=np.int64)


def _sums(codes: Ints, values: Floats, size: int) -> Floats:
    return np.bincount(codes, weights=values, minlength=size).astype(np.float64)


def _first(inside: Bools, count: int, draw: Floats) -> Bools:
    """Return the rows with the smallest draws among those inside, `count` of them."""
    rows = np.zeros(inside.size, dtype=bool)
    order = np.argsort(np.where(inside, draw, np.inf))
    rows[order[: min(count, int(inside.sum()))]] = True
    return rows
