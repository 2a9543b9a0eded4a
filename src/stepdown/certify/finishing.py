"""Finish a policy: where a draft would be sent, let a stronger tier rewrite it first.

Which drafts are rewritten is declared, not tested: `always`, or below a confidence that a person
wrote down. It changes no decision about who drafts, and it does not know what polishing is worth.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from msgspec import Struct

from stepdown.core.derived import Derived, Lead, Linear
from stepdown.core.policy import Action, Clause, Policy, Row, confidence_of, polished, tiers_in
from stepdown.core.replay_array import Panel
from stepdown.core.task import Task

UNSURE = "unsure"  # why a draft below the declared confidence is rewritten


class Finished(Struct, frozen=True):
    """A policy that polishes, the formulas it needs beside its own, and each draft it rewrites as
    (drafting tier, polishing tier).
    """

    policy: Policy
    derived: Mapping[str, Derived]
    pairs: tuple[tuple[str, str], ...]


def finished(policy: Policy, task: Task, *, can_polish: bool = True) -> Finished:
    """Return the policy with the task's `finish`.

    The polishing tier never rewrites its own draft, nor one that is not the last. Without
    `can_polish` (a recording cannot) nothing changes.
    """
    by = task.polish_by or task.ceiling
    if task.finish == "never" or not can_polish or by not in policy.tiers:
        return Finished(policy, {}, ())
    work = _Finishing(by, None if task.finish == "always" else task.polish_below)
    rows = tuple(work.row(row) for row in policy.rows)
    made = msgspec.structs.replace(policy, rows=rows)
    return Finished(made, work.derived, tuple(dict.fromkeys(work.pairs)))


def unfinished(policy: Policy) -> Policy:
    """Return the policy that sends every draft as it is: what a guarantee without outcomes of
    polished drafts is about.
    """
    rows = tuple(
        msgspec.structs.replace(
            row,
            when=tuple(
                msgspec.structs.replace(clause, then=_draft(clause.then, row))
                for clause in row.when
            ),
            otherwise=_draft(row.otherwise, row),
        )
        for row in policy.rows
    )
    return msgspec.structs.replace(policy, rows=rows)


def _draft(action: Action, row: Row) -> Action:
    return Action("accept", tiers_in(row.called)[-1]) if action.kind == "polish" else action


def is_measured(found: Finished, table: Panel) -> bool:
    """Say whether outcomes hold the polished form of every draft that the policy rewrites."""
    return all(_has(table, draft, by) for draft, by in found.pairs)


def _has(table: Panel, draft: str, by: str) -> bool:
    name = polished(draft, by)
    if name not in table.available or draft not in table.available:
        return False
    usable = table.available[draft] & (table.failure[draft] == 0)
    return not bool(np.any(usable & ~table.available[name]))


def finish_words(task: Task, found: Finished, *, measured: bool) -> str:
    """Say in a sentence or two what is declared, and what a guarantee covers; "" without polish."""
    if not found.pairs:
        return ""
    by = found.pairs[0][1]
    when = "Every draft" if task.finish == "always" else f"A draft below {task.polish_below:g}"
    said = f"{when} is polished by {by}: declared in stepdown.toml, not certified."
    if measured:
        return f"{said} Scores and costs are those of the polished answers."
    return f"{said} The guarantee covers the draft, not the polish, and the cost leaves it out."


class _Finishing:
    """Rewrites rows; `below` is the declared confidence, None to polish always."""

    def __init__(self, by: str, below: float | None) -> None:
        self.by = by
        self.below = below
        self.derived: dict[str, Derived] = {}
        self.pairs: list[tuple[str, str]] = []

    def row(self, row: Row) -> Row:
        when = tuple(made for clause in row.when for made in self.clauses(clause, row))
        if not self.rewrites(row.otherwise, row):
            return msgspec.structs.replace(row, when=when)
        draft = row.otherwise.target
        if self.below is not None:
            sure = Clause(confidence_of(draft), self.below, row.otherwise, row.reason)
            when = (*when, sure)
        return msgspec.structs.replace(row, when=when, otherwise=self.polish(draft))

    def rewrites(self, action: Action, row: Row) -> bool:
        if action.kind != "accept" or action.target == self.by:
            return False
        return action.target == tiers_in(row.called)[-1]

    def polish(self, draft: str) -> Action:
        self.pairs.append((draft, self.by))
        return Action("polish", self.by)

    def clauses(self, clause: Clause, row: Row) -> tuple[Clause, ...]:
        """The clause, or two in its place: what is sent as it is, then what is rewritten."""
        if not self.rewrites(clause.then, row):
            return (clause,)
        draft = clause.then.target
        if self.below is None:
            return (msgspec.structs.replace(clause, then=self.polish(draft)),)
        confidence = confidence_of(draft)
        if clause.signal == confidence and clause.at_least >= self.below:
            return (clause,)
        sure = msgspec.structs.replace(clause, signal=confidence, at_least=self.below)
        if clause.signal != confidence:
            both = self.both(clause, confidence, self.below)
            sure = msgspec.structs.replace(clause, signal=both, at_least=0.0)
        unsure = msgspec.structs.replace(clause, then=self.polish(draft), reason=UNSURE)
        return (sure, unsure)

    def both(self, clause: Clause, confidence: str, below: float) -> str:
        """Return a signal of 0 or more where the clause holds and the draft is sure enough.

        It is the lesser of two margins, written as a lead over both. Where the clause's own signal
        is not known nothing holds; a confidence that is not known counts as 0, so that the draft is
        rewritten.
        """
        nothing = f"nothing beside {clause.signal}"
        less, doubt = f"less {clause.signal}", f"doubt of {confidence} beside {clause.signal}"
        name = f"{clause.signal} >= {clause.at_least:g} and {confidence} >= {below:g}"
        self.derived |= {
            nothing: Linear((clause.signal,), (0.0,), (0.0,)),
            less: Linear((clause.signal,), (-1.0,), (0.0,)),
            doubt: Linear((confidence, clause.signal), (-1.0, 0.0), (0.0, 0.0)),
            name: Lead(nothing, (less, doubt), (0.0, -clause.at_least, -below)),
        }
        return name
