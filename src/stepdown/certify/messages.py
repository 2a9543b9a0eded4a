"""Whole messages: what the steps of a pipeline do with each, and what the lock says of it.

It is handed outcomes; it does not know how a step is run, nor how its input is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct, structs

from stepdown.certify.calibration import with_confidence
from stepdown.certify.case import Case, case_of, given
from stepdown.certify.certify import search, starts
from stepdown.certify.evidence import Evidence, Terms
from stepdown.certify.pipelines import Combination, Floats, MessageScore, message_score
from stepdown.certify.search import Searched
from stepdown.certify.supply import Sources, raw_signals, supplied
from stepdown.certify.triage import Triage
from stepdown.core.digest import digest, seed_from
from stepdown.core.replay_array import Panel, ReplayedArray, replay_array
from stepdown.core.task import Task
from stepdown.errors import DataError


class StepCase(Struct, frozen=True):
    """One step: its rows, the path that was searched for it, and where its own test would begin."""

    case: Case
    found: tuple[Searched, ...]
    along: tuple[Searched, ...]
    start: int
    triage: Triage | None = None

    @property
    def task(self) -> Task:
        """The task, with the promise of the pipeline."""
        return self.case.task


def step_case(task: Task, evidence: Evidence, terms: Terms) -> StepCase:
    """Search the path of one step on its tune rows.

    Raises:
        DataError: rows that cannot be used, or a ceiling that answered none of them.
    """
    rows = given(task, evidence)
    if not rows.answered:
        raise DataError(
            f"The ceiling {task.ceiling!r} of the step {task.name!r} has no scored answer to its "
            "certify rows, so no loss of a message can be measured.",
            "A step that is fed by others needs tiers that can answer any input; a recording "
            "cannot.",
        )
    laid = search(_with_own_seed(case_of(task, evidence, terms, rows)))
    first = starts(laid.case, laid.along)[0] if len(laid.along) > 1 else 0
    return StepCase(laid.case, laid.found, laid.along, first, laid.triage)


def _with_own_seed(case: Case) -> Case:
    """Give the step draws of its own: steps share the ids of messages, and serving mixes each step
    by itself.
    """
    seed = seed_from(digest([case.rows.seed, case.task.name]))
    return structs.replace(case, rows=structs.replace(case.rows, seed=seed))


class Played(Struct, frozen=True):
    """What one policy of a step does with each row that reached the step.

    `done` is None when none did. `places` maps query id to row.
    """

    table: Panel
    done: ReplayedArray | None
    places: Mapping[str, int]

    def answers(self) -> dict[str, str]:
        """Return query id -> the answer that is sent; a row without one is left out."""
        if self.done is None:
            return {}
        found = {}
        for query, by in zip(self.table.query_ids, self.done.answer, strict=True):
            text = None if by is None else self.table.texts[by][self.places[query]]
            if text is not None:
                found[query] = text
        return found

    def scores(self, ids: Sequence[str]) -> Floats:
        """Return the score of each message, NaN where it is unknown or the step was not reached."""
        return self._column(ids, np.nan, "score")

    def costs(self, ids: Sequence[str]) -> Floats:
        """Return what each message cost at this step: nothing where the step was not reached."""
        return self._column(ids, 0.0, "cost_usd")

    def _column(self, ids: Sequence[str], absent: float, name: str) -> Floats:
        found = np.full(len(ids), absent)
        if self.done is not None:
            values = getattr(self.done, name)
            for place, query in enumerate(ids):
                if query in self.places:
                    found[place] = values[self.places[query]]
        return found

    def known(self, query: str, tier: str) -> bool:
        """Say whether the score of `tier` is known here: a message that never came scores 0."""
        at = self.places.get(query)
        if at is None:
            return True
        known = tier in self.table.score and self.table.available[tier][at]
        return bool(known and not np.isnan(self.table.score[tier][at]))


def readable(step: StepCase, table: Panel) -> Panel:
    """Return outcomes of the inputs that reached a step with every signal that its path reads."""
    case = step.case
    sources = Sources(case.rows.seed, step.triage, case.evidence.encoder)
    wanted = raw_signals((one.policy, one.derived) for one in step.along)
    return supplied(with_confidence(table, case.maps), wanted, sources) if table.n else table


def played(step: StepCase, level: int, table: Panel) -> Played:
    """Replay one policy of a step's path on outcomes that have its signals."""
    one = step.along[level]
    if not table.n:
        return Played(table, None, {})
    places = {query: place for place, query in enumerate(table.query_ids)}
    return Played(table, replay_array(one.policy, table, one.derived), places)


class Messages(Struct, frozen=True):
    """All combinations on one set of messages: what each message scores, 0..1, and costs."""

    ids: tuple[str, ...]
    scores: Mapping[Combination, Floats]
    costs: Mapping[Combination, Floats]
    steps: Mapping[Combination, tuple[Played, ...]]

    def mean_cost(self, combo: Combination) -> float:
        """Return the mean cost of a message, NaN when unknown."""
        return float(self.costs[combo].mean())


def messages(
    ids: Sequence[str], steps: Mapping[Combination, tuple[Played, ...]], how: MessageScore
) -> Messages:
    """Return the messages under every combination."""
    scores = {
        combo: message_score([one.scores(ids) for one in line], how)
        for combo, line in steps.items()
    }
    costs = {
        combo: np.sum([one.costs(ids) for one in line], axis=0) for combo, line in steps.items()
    }
    return Messages(tuple(ids), scores, costs, steps)
