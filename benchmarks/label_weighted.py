"""A measured method that no verb reaches yet.

Label rows at random with known, unequal chances, and test the mean score of what is delivered.

For the promises `floor` (the score of the task as delivered) and `min_score` (of the kept
answers): unlike a loss against the ceiling, a score is unknown also where answers are equal, so
no row is free. Rows whose score a prediction leaves open are drawn more often, and the
prediction stands in for the others; a drawn label corrects it by 1 / inclusion.

Valid because rows are independent, the draws are independent of scores given what is known
without labels, and each row's bet has expectation at most 0 under H0 whatever the prediction is
worth; the wealth is read in one seeded order, so that stopping whenever it suffices is
paid for (Ville 1939). A bad prediction costs labels, never the promise. For 0/1 scores drawn
with one chance for all rows, the exact binomial test at a fixed size needs fewer labels.
Sources: Waudby-Smith and Ramdas (2023), betting; Zrnic and Candes (2024), active inference;
Horvitz and Thompson (1952), the weights.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats import bounds
from stepdown.stats.arrays import Bools, Floats, Ints, bounded, probability, vector
from stepdown.stats.labelling import Wanted
from stepdown.stats.sequence import fallback_path, shares


@dataclass(frozen=True, slots=True)
class WeightedQuestion:
    """A path of policies, safest first, each with the rows it is judged on.

    `kept` (policies, n): rows that count for the promise; all for `floor`, the kept for
    `min_score`. `predicted` (policies, n): the delivered answer's score as predicted without
    labels of these rows, 0..1. `inclusion` (n,): the chance that a row is drawn, at least
    `least`, which is fixed beforehand. Unlike a loss, policy 0 is tested too when it is a start;
    `second_start`, if given, takes its share of delta.
    """

    kept: Bools
    predicted: Floats
    inclusion: Floats
    target: float
    delta: float
    start: int
    least: float = 0.25
    second_start: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        shape = self.kept.shape
        chance = vector("inclusion", self.inclusion, probability("least", self.least), 1.0)
        if self.kept.ndim != 2 or self.predicted.shape != shape or chance.size != shape[1]:
            raise DataError(
                f"kept {shape}, predicted {self.predicted.shape} and inclusion {chance.shape}: "
                "expected (policies, n) twice and (n,)."
            )
        bounded("predicted", self.predicted, 0.0, 1.0)
        probability("target", self.target)

    @property
    def n(self) -> int:
        """Return the number of rows."""
        return int(self.kept.shape[1])


@dataclass(frozen=True, slots=True)
class Scored:
    """Which rows are labelled (n,), and the delivered score (n,) or (policies, n), read there."""

    known: Bools
    score: Floats


@dataclass(frozen=True, slots=True)
class WeightedStanding:
    """The cheapest policy certified, or None, and what labels can still do.

    `p_values` are valid now, however it was decided to stop; None where nothing was spent.
    """

    certified: int | None
    possible: int | None
    p_values: tuple[float | None, ...]
    decided: bool
    rows_read: int
    labels_used: int
    labels_left_at_most: int


def inclusion(predicted: ArrayLike, share: float, least: float = 0.25) -> Floats:
    """Return the chance to label each row: larger where the score is open, `share` on average.

    `predicted` (n,) are chances of a full score; the result lies in least..1.
    Source: Zrnic and Candes (2024): proportional to the standard deviation left.
    """
    chance = vector("predicted", predicted, 0.0, 1.0)
    probability("least", least)
    if not least <= share <= 1.0:
        raise DataError(f"share is {share!r}; it must lie in {least}..1, the least chance and 1.")
    spread = np.sqrt(chance * (1.0 - chance)) + 1e-6
    low, high = 0.0, 1.0 / float(spread.min(initial=1.0))
    for _ in range(60):
        scale = (low + high) / 2.0
        mean = float(np.clip(scale * spread, least, 1.0).mean()) if chance.size else share
        low, high = (scale, high) if mean < share else (low, scale)
    return np.clip(high * spread, least, 1.0)


def drawn(question: WeightedQuestion) -> Ints:
    """Return the rows to label, in the order in which they are read; fixed by the seed."""
    order = _order(question)
    rows: Ints = order[_chosen(question)[order]]
    return rows


def next_rows(question: WeightedQuestion, scored: Scored, batch: int = 1) -> Wanted:
    """Return up to `batch` drawn rows that are not labelled yet, in their order."""
    found = standing(question, scored)
    if found.decided:
        return Wanted(np.zeros(0, dtype=np.int64), f"decided: policy {found.certified}")
    rows = drawn(question)
    return Wanted(rows[~scored.known[rows]][:batch], "drawn at random, with known chances")


def standing(question: WeightedQuestion, scored: Scored) -> WeightedStanding:
    """Say what is certified by the rows read so far: up to the first drawn one without a label.

    Decided when nothing cheaper could be certified if all labels to come were full scores.
    """
    order = _order(question)
    missing = _chosen(question) & ~scored.known
    gaps = np.flatnonzero(missing[order])
    read = order[: gaps[0]] if gaps.size else order
    steps, now = _tested(question, scored.score, read)
    table = np.broadcast_to(scored.score, question.kept.shape)
    _, best = _tested(question, np.where(missing, 1.0, table), order) if gaps.size else ((), now)
    return WeightedStanding(
        certified=now,
        possible=best if best is not None and (now is None or best > now) else now,
        p_values=steps,
        decided=gaps.size == 0 or best is None or (now is not None and best <= now),
        rows_read=int(read.size),
        labels_used=int(scored.known.sum()),
        labels_left_at_most=int(gaps.size),
    )


def _tested(
    question: WeightedQuestion, score: Floats, rows: Ints
) -> tuple[tuple[float | None, ...], int | None]:
    """Return the p-values of the path and the last policy that passes."""
    table = np.broadcast_to(score, question.kept.shape)
    size = len(table)
    starts = shares(question.start, question.second_start, question.delta)
    steps = fallback_path(size, lambda i: _p_value(question, table[i], i, rows), starts)
    passed = [i for i, step in enumerate(steps) if step.passed]
    return tuple(step.p_value for step in steps), passed[-1] if passed else None


def _p_value(question: WeightedQuestion, score: Floats, policy: int, rows: Ints) -> float:
    """Return the p-value of "the mean score where this policy counts is at most the target"."""
    counts = question.kept[policy, rows]
    guess, chance = question.predicted[policy, rows], question.inclusion[rows]
    told = np.where(_chosen(question)[rows], (score[rows] - guess) / chance, 0.0)
    gain = np.where(counts, guess - question.target + told, 0.0)
    # A row's gain lies in -low..high for any prediction in 0..1 and any chance >= least.
    extra = 1.0 / question.least - 1.0
    low, high = question.target + extra, 1.0 - question.target + extra
    log_e = bounds.log_evalue((gain + low) / (low + high), low / (low + high), anytime=True)
    return float(bounds.p_from_log_e(log_e))


def _order(question: WeightedQuestion) -> Ints:
    return np.random.default_rng(question.seed).permutation(question.n)


def _chosen(question: WeightedQuestion) -> Bools:
    draw = np.random.default_rng([question.seed, 3]).random(question.n)
    return np.asarray(draw < question.inclusion)
