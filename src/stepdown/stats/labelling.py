"""Say which disagreement with the ceiling to label next, and stop when the question is decided.

The question: how far along a path of policies does `certify_path` go? Equal answers have a paired
difference of exactly 0 (a deterministic scorer), so only rows on which a policy's answer differs
from the ceiling's can need a label; an unlabelled one counts as a full loss.

Why stopping here is no peeking. The rows are fixed before the first label, and so is the test.
Every test used never gains from a smaller difference (see `paired_exact`, `bounds`), and fallback
passes on more delta the more passes. So whatever rows were labelled, in whatever order, for
whatever reason (the labels seen included), each policy certified now is also certified with all
labels: a wrong certificate at any moment is a wrong certificate of the one fixed test, which
happens with chance delta at most. No delta is spent on looking. Stopping early for any reason
keeps the promise; stopping when `decided` gives, besides, the verdict of all labels: always with
best_case="gain" (up to the 3% by which a p-value is rounded up); with "no_loss" (sooner) unless
unseen gains would have saved a policy that unseen ties cannot. Promises about agreement need no
label: answers are compared. It does not know what an answer is.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from stepdown.errors import DataError
from stepdown.stats import noninferiority, paired_exact
from stepdown.stats.arrays import Bools, Floats, Groups, Ints, vector
from stepdown.stats.labels import Labels
from stepdown.stats.noninferiority import EXACT_ROWS, Scores, worst_case_differences
from stepdown.stats.sequence import fallback_path

BestCase = Literal["no_loss", "gain"]
NEAR = 0.08  # of the critical rank: closer than this the p-value itself decides
PRIOR_LABELS = 4.0  # weight, in labels, of the assumed chance of a loss; it only ranks rows
PRIOR_LOSS = 0.4  # before any label; it only ranks rows
BANDS = 4  # of disagreements, by where on the path they begin


@dataclass(frozen=True, slots=True)
class Question:
    """What `certify_path` will be asked, before labels.

    `agree` has shape (policies, n): the policy's delivered answer equals the ceiling's; row 0 is
    the ceiling itself. `loss_chance` (n,), if given, ranks rows: the chance that a disagreement
    is a loss, from other rows. The rest is as in `certify_path`.
    """

    agree: Bools
    epsilon: float
    delta: float
    start: int
    second_start: int | None = None
    groups: Groups | None = None
    scores: Scores = "binary"
    seed: int = 0
    loss_chance: Floats | None = None
    best_case: BestCase = "gain"

    def __post_init__(self) -> None:
        if self.agree.ndim != 2 or self.agree.dtype != np.bool_ or not self.agree[:1].all():
            raise DataError(
                f"agree: expected true/false of shape (policies, n), got {self.agree.shape}.",
                "Its first row is the ceiling, which agrees with itself everywhere.",
            )
        if self.loss_chance is not None:
            chance = vector("loss_chance", self.loss_chance, 0.0, 1.0)
            if chance.size != self.n:
                raise DataError(f"loss_chance: {chance.size} values for {self.n} rows.")

    @property
    def n(self) -> int:
        """Return the number of rows."""
        return int(self.agree.shape[1])


@dataclass(frozen=True, slots=True)
class Wanted:
    """Rows to label next, the most useful first, and why these; none when decided."""

    rows: Ints
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the question stands. Policy 0 is the ceiling: nothing certified.

    `certified` holds now; `possible` is the cheapest that labels can still certify. `worst_p`,
    `best_p` and the two bounds on the loss (each for one policy alone, for display) are those of
    `possible`, counting unlabelled disagreements as losses, or as `Question.best_case` says.
    """

    certified: int
    possible: int
    worst_p: float
    best_p: float
    bound_worst: float
    bound_best: float
    decided: bool
    labels_used: int
    labels_left_at_most: int


def standing(question: Question, labels: Labels) -> Standing:
    """Say what is certified now, what still can be, and how many labels that takes at most."""
    worst, best = (_filled(question, labels, case) for case in ("loss", question.best_case))
    now, possible = _passed(question, worst)[-1], _passed(question, best)[-1]
    asked = max(possible, 1)
    low, high = (_tester(question, table) for table in (worst, best))
    settled = now == possible
    return Standing(
        certified=now,
        possible=possible,
        worst_p=low.p_value(asked),
        best_p=high.p_value(asked),
        bound_worst=low.bound(asked),
        bound_best=high.bound(asked),
        decided=settled,
        labels_used=labels.used,
        labels_left_at_most=0 if settled else int(_open(question, labels, possible).sum()),
    )


def certified(question: Question, labels: Labels) -> int:
    """Return the cheapest policy that these labels certify, 0 for none but the ceiling.

    `standing` without p-values and bounds: cheap enough to ask after each label.
    """
    return _passed(question, _filled(question, labels, "loss"))[-1]


def decided(question: Question, labels: Labels) -> int | None:
    """Return the policy of the verdict, or None while labels can still change it."""
    now = certified(question, labels)
    possible = _passed(question, _filled(question, labels, question.best_case))[-1]
    return now if now == possible else None


def next_rows(question: Question, labels: Labels, batch: int = 1) -> Wanted:
    """Return up to `batch` rows whose labels should settle the question soonest.

    The rows most probably without a loss when the likely answer is that a cheaper policy passes;
    the rows most probably with one when it is that the next policy fails. The guess only ranks.
    """
    now = certified(question, labels)
    at_best = _passed(question, _filled(question, labels, question.best_case))
    if at_best[-1] == now:
        return Wanted(np.zeros(0, dtype=np.int64), f"decided: policy {now}")
    loss = _loss_chance(question, labels)
    likely = _passed(question, _likely(question, labels, loss))[-1]
    prove = likely > now
    target = likely if prove else min(one for one in at_best if one > now)
    order = np.lexsort((_begins(question), loss if prove else -loss))
    chosen = order[_open(question, labels, target)[order]][:batch]
    guess = ("passes", "lose nothing") if prove else ("fails", "lose")
    return Wanted(chosen, f"policy {target} probably {guess[0]}: these most probably {guess[1]}")


def _filled(question: Question, labels: Labels, case: Literal["loss"] | BestCase) -> Floats:
    """Return the paired differences with one value for every unlabelled disagreement."""
    shape = question.agree.shape
    known = np.broadcast_to(labels.known, shape)
    told = np.broadcast_to(labels.difference, shape)
    worst = worst_case_differences(question.agree, known, told)
    if case == "loss":
        return worst
    return np.where(known | question.agree, worst, 1.0 if case == "gain" else 0.0)


def _likely(question: Question, labels: Labels, loss: Floats) -> Floats:
    """Return the differences with as many losses as expected, spread evenly along the path."""
    order = np.lexsort((loss, _begins(question)))
    unknown = order[~labels.known[order]]
    lost = np.zeros(question.n)
    lost[unknown] = np.diff(np.floor(np.cumsum(loss[unknown]) + 0.5), prepend=0.0)
    filled = _filled(question, labels, "no_loss")
    return np.where(~question.agree & ~labels.known, -lost, filled)


def _loss_chance(question: Question, labels: Labels) -> Floats:
    """Return each row's net chance of a loss, from the labels of rows that begin near it."""
    given = question.loss_chance
    prior = np.full(question.n, PRIOR_LOSS) if given is None else np.asarray(given)
    begins = _begins(question)
    differs = begins < len(question.agree)
    edges = (
        np.quantile(
            begins, np.arange(1, BANDS) / BANDS, weights=differs * 1.0, method="inverted_cdf"
        )
        if differs.any()
        else np.zeros(BANDS - 1)
    )
    band = np.searchsorted(edges, begins)
    seen = labels.known & differs
    loss = np.where(seen, -_first_difference(question, labels, begins), 0.0)
    lost = np.bincount(band, weights=loss, minlength=BANDS)
    count = np.bincount(band, weights=seen, minlength=BANDS)
    mean = (lost[band] + PRIOR_LABELS * prior) / (count[band] + PRIOR_LABELS)
    return np.clip(mean, 0.0, 1.0)


def _first_difference(question: Question, labels: Labels, begins: Ints) -> Floats:
    table = np.broadcast_to(labels.difference, question.agree.shape)
    return np.asarray(table[np.minimum(begins, len(table) - 1), np.arange(question.n)])


def _begins(question: Question) -> Ints:
    """Return the first policy that disagrees on each row; the number of policies when none."""
    differs = ~question.agree
    return np.where(differs.any(axis=0), differs.argmax(axis=0), len(differs)).astype(np.int64)


def _open(question: Question, labels: Labels, target: int) -> Bools:
    """Return the unlabelled rows on which a policy up to `target` disagrees."""
    return np.asarray((~question.agree[: target + 1]).any(axis=0) & ~labels.known)


def _passed(question: Question, table: Floats) -> list[int]:
    """Return the policies that `certify_path` would pass, the ceiling first."""
    size = len(table)
    starts = noninferiority.starts_of(size, question.start, question.second_start, question.delta)
    total = sum(dict(sorted(starts.items())).values())
    levels = tuple(sorted({*starts.values(), total}))
    steps = fallback_path(size, lambda i: _p_value(question, table, i, levels), starts)
    return [0, *(i for i, step in enumerate(steps) if step.passed)]


def _p_value(question: Question, table: Floats, index: int, levels: tuple[float, ...]) -> float:
    """Return the p-value, or for 0/1 scores any number on the same side of every level."""
    row = table[index : index + 1]
    tester = _tester(question, row)
    if not isinstance(tester, noninferiority.Counted) or question.n > EXACT_ROWS:
        return tester.p_value(0)
    minus, plus, epsilon = tester.minus, tester.plus, question.epsilon
    level = paired_exact.rank(minus.astype(float), plus.astype(float), question.n, epsilon)[0]
    critical = [_critical_rank(question.n, epsilon, alpha) for alpha in levels]
    if any(abs(level - one) < NEAR for one in critical):
        return tester.p_value(0)
    return next((a for a, one in zip(levels, critical, strict=True) if level > one), 1.0)


def _tester(question: Question, table: Floats) -> noninferiority.PairedTest:
    q = question
    return noninferiority.paired_test(table, q.epsilon, q.delta, q.groups, q.scores, q.seed)


_critical_rank = lru_cache(maxsize=64)(paired_exact.critical_rank)
