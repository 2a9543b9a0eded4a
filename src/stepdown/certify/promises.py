"""Promises as measures: what each tier's answer is worth on each row, and which rows count.

Every promise becomes "the mean of worth - reference, over the rows that count, is above -epsilon".
It does not know how that is tested, and not how a policy was found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.core.answers import answer_key
from stepdown.core.outcome import BOUGHT
from stepdown.core.replay_array import UNKNOWN, USABLE, Panel, ReplayedArray
from stepdown.core.task import Task
from stepdown.errors import DataError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Index = NDArray[np.intp]
Kind = Literal["paired", "binary", "graded"]
Worth = Mapping[str, Floats]


class Judged(Struct, frozen=True):
    """One policy by one measure: the rows that count, and their differences in [-1, 1]."""

    index: Index
    differences: Floats


class Measure(Struct, frozen=True, kw_only=True):
    """One promise on one table of n rows.

    `worth` maps whoever may answer to what that is worth, 0..1 of shape (n,); no answer is worth
    0. `against` is subtracted: the ceiling's score, or 1. The promise is kept when the mean over
    the rows that count (`rows`, and with `kept_only` those that the ceiling did not answer) is
    above -`epsilon`. `kind` says which test may be used: differences of 0/1 scores, worth that is 0
    or 1 by construction, or anything in between. `confident`: worth is what confidence predicts.
    """

    name: str
    level: float
    epsilon: float
    worth: Worth
    against: Floats
    ceiling: str
    kind: Kind
    rows: Bools | None = None
    kept_only: bool = False
    at_least: bool = False
    scale: float = 1.0
    confident: bool = False

    def judged(self, done: ReplayedArray, worth: Worth | None = None) -> Judged:
        """Return a replayed policy by this measure, by other figures of `worth` if given."""
        counts = np.ones(done.answer_at.size, dtype=bool) if self.rows is None else self.rows
        if self.kept_only:
            counts = counts & ~done.answered_by(self.ceiling) & ~done.answered_by(None)
        index = np.flatnonzero(counts)
        return Judged(index, (_delivered(done, worth or self.worth) - self.against)[index])

    def figure(self, mean: float) -> float:
        """Return a mean difference as the figure that the promise speaks of."""
        return 1.0 + mean if self.at_least else -mean * self.scale


def _delivered(done: ReplayedArray, worth: Worth) -> Floats:
    found = np.zeros(done.answer_at.size)
    for tier in done.answers:
        if tier is not None and tier in worth:
            rows = done.answered_by(tier)
            found[rows] = worth[tier][rows]
    return found


def measures(
    task: Task, table: Panel, reference: str, *, binary: bool, tune: bool = False
) -> tuple[Measure, ...]:
    """Return the promises of a task on a table: the main one first, then every recall.

    `binary`: scores are 0 or 1 by construction. `tune` rows may lack a label that must be found.

    Raises:
        DataError: the table lacks what the promise speaks of; says what.
    """
    main = task.promise.main(reference)
    level = task.promise.limit(reference)
    scores: Kind = "binary" if binary else "graded"
    found = [_MAIN[main](_Given(task, table, reference, level, scores))]
    for label, share in task.promise.recall.items():
        found.append(_recall(task, table, label, share, tune=tune))
    return tuple(found)


class _Given(Struct, frozen=True):
    task: Task
    table: Panel
    reference: str
    level: float
    scores: Kind

    @property
    def score(self) -> Worth:
        """Scores, 0 where nobody scored an answer."""
        return {tier: np.nan_to_num(self.table.score[tier]) for tier in _answering(self.table)}


def _answering(table: Panel) -> tuple[str, ...]:
    return tuple(tier for tier in table.score if not tier.startswith(BOUGHT))


def _max_loss(given: _Given) -> Measure:
    ceiling = given.task.ceiling
    return Measure(
        name="max_loss",
        level=given.level,
        epsilon=given.level,
        worth=given.score,
        against=given.score[ceiling],
        ceiling=ceiling,
        kind="paired" if given.scores == "binary" else "graded",
        confident=True,
    )


def _floor(given: _Given) -> Measure:
    return _at_least("floor", given, given.score, given.scores, confident=True)


def _min_score(given: _Given) -> Measure:
    return _at_least("min_score", given, given.score, given.scores, kept_only=True, confident=True)


def _at_least(
    name: str,
    given: _Given,
    worth: Worth,
    kind: Kind,
    *,
    kept_only: bool = False,
    confident: bool = False,
) -> Measure:
    return Measure(
        name=name,
        level=given.level,
        epsilon=1.0 - given.level,
        worth=worth,
        against=np.ones(given.table.n),
        ceiling=given.task.ceiling,
        kind=kind,
        kept_only=kept_only,
        at_least=True,
        confident=confident,
    )


def _min_agreement(given: _Given) -> Measure:
    worth, kind = _agreement(given)
    confident = given.reference == "ceiling"
    return _at_least("min_agreement", given, worth, kind, kept_only=True, confident=confident)


def _max_disagreement(given: _Given) -> Measure:
    worth, kind = _agreement(given)
    return Measure(
        name="max_disagreement",
        level=given.level,
        epsilon=given.level,
        worth=worth,
        against=np.ones(given.table.n),
        ceiling=given.task.ceiling,
        kind=kind,
        confident=given.reference == "ceiling",
    )


def _agreement(given: _Given) -> tuple[Worth, Kind]:
    """Agreement with the ceiling, 0 where it is unknown. Where the ceiling is the reference and an
    answer is not in the table, its score says how far it agrees.
    """
    table, ceiling = given.table, given.task.ceiling
    by_score = given.reference == "ceiling"
    unknown = np.full(table.n, UNKNOWN, dtype=np.int32)
    own = table.answers.get(ceiling, unknown)
    if not by_score and not (own != UNKNOWN).any():
        raise DataError(
            f"Agreement with {ceiling!r} cannot be measured: the outcomes hold no answer of it.",
            "Add the column `answer`, or promise `max_loss` or `min_score` on scored rows.",
        )
    worth, used = {}, False
    for tier in _answering(table):
        codes = table.answers.get(tier, unknown)
        open_ = (codes == UNKNOWN) | (own == UNKNOWN)
        otherwise = given.score[tier] if by_score else np.zeros(table.n)
        worth[tier] = np.where(open_, otherwise, (codes == own).astype(float))
        used = used or (by_score and bool(open_.any()))
    worth[ceiling] = np.ones(table.n)
    return worth, given.scores if used else "binary"


def _max_error_cost(given: _Given) -> Measure:
    task, table, costs = given.task, given.table, given.task.promise.error_costs
    amounts = {cost for row in costs.values() for cost in row.values()}
    most = max(amounts)
    if given.level >= most:
        raise DataError(
            f"max_error_cost is {given.level:g}, and no error costs more than {most:g}: it would "
            "promise nothing.",
            "Lower it, or raise the costs in error_costs.",
        )
    truths = _labels(table.truths, table.n)
    known = np.array([truth is not None for truth in truths], dtype=bool)
    if not known.any():
        raise _no_truths("max_error_cost")
    worth = {
        tier: 1.0 - _paid(truths, _said(table, tier), costs, most) / most
        for tier in _answering(table)
    }
    # Two errors out of a table may cost differently; 0 and the most alone make an exact test.
    all_or_nothing = amounts <= {0.0, most}
    return Measure(
        name="max_error_cost",
        level=given.level,
        epsilon=given.level / most,
        worth=worth,
        against=np.ones(table.n),
        ceiling=task.ceiling,
        kind="binary" if all_or_nothing else "graded",
        rows=known,
        scale=most,
    )


def _no_truths(name: str) -> DataError:
    return DataError(
        f"{name} cannot be measured: no row says which label is right.",
        "Add the column `truth` to the outcomes.",
    )


def _paid(
    truths: Sequence[str | None],
    said: Sequence[str | None],
    costs: Mapping[str, Mapping[str, float]],
    most: float,
) -> Floats:
    """What each answer costs; an unknown answer, and an error that is not named, cost the most."""
    keyed = {_key(t): {_key(a): cost for a, cost in row.items()} for t, row in costs.items()}
    pairs = zip(truths, said, strict=True)
    paid = [
        0.0 if truth == label else keyed.get(truth or "", {}).get(label or "", most)
        for truth, label in pairs
    ]
    return np.array(paid, dtype=float)


def _recall(task: Task, table: Panel, label: str, share: float, *, tune: bool) -> Measure:
    truths = _labels(table.truths, table.n)
    if not any(truths):
        raise _no_truths(f"recall of {label!r}")
    rows = np.array([truth == _key(label) for truth in truths], dtype=bool)
    if not rows.any() and not tune:
        raise DataError(
            f"recall of {label!r} cannot be measured: no row of {table.n} has that label.",
            f"The data hold {_some(table.truths)}. Add rows of it, or correct its name.",
        )
    found = {tier: _found(table, tier, _key(label)) for tier in _answering(table)}
    return Measure(
        name=f"recall:{label}",
        level=share,
        epsilon=1.0 - share,
        worth=found,
        against=np.ones(table.n),
        ceiling=task.ceiling,
        kind="binary",
        rows=rows,
        at_least=True,
    )


def _some(truths: Sequence[str | None]) -> str:
    names = sorted({truth for truth in truths if truth is not None})
    return ", ".join(map(repr, names[:8])) + (" and others" if len(names) > 8 else "")


def _found(table: Panel, tier: str, label: str) -> Floats:
    """Whether a tier said the label; by its score where the table does not hold its answers."""
    if tier in table.texts and len(table.texts[tier]):
        return np.array([said == label for said in _said(table, tier)], dtype=float)
    return (np.nan_to_num(table.score[tier]) >= 1).astype(float)


def _said(table: Panel, tier: str) -> Sequence[str | None]:
    """Return the label that a tier gave on each row, None where it failed or is unknown."""
    said = _labels(table.texts.get(tier, ()), table.n)
    failed = table.failure[tier] != USABLE
    return [None if bad else label for bad, label in zip(failed, said, strict=True)]


def _labels(column: Sequence[str | None], n: int) -> list[str | None]:
    keys = {text: _key(text) for text in set(column) if text is not None}
    return [keys.get(text) if text is not None else None for text in column] or [None] * n


def _key(label: str) -> str:
    return answer_key(label)


_MAIN: Mapping[str, Callable[[_Given], Measure]] = {
    "max_loss": _max_loss,
    "floor": _floor,
    "min_score": _min_score,
    "min_agreement": _min_agreement,
    "max_disagreement": _max_disagreement,
    "max_error_cost": _max_error_cost,
}
