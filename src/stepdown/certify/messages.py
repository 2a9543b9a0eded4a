"""Whole messages: what the steps of a pipeline do with each, and what the lock says of it.

It is handed outcomes; it does not know how a step is run, nor how its input is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct, structs

from stepdown.certify import stating
from stepdown.certify.calibration import with_confidence
from stepdown.certify.case import Case, case_of, given
from stepdown.certify.certify import search, starts
from stepdown.certify.evidence import Certified, Evidence, Terms
from stepdown.certify.figures import loss_estimate, mean_estimate
from stepdown.certify.locking import locked_task
from stepdown.certify.looks import Spent
from stepdown.certify.pipelines import Combination, Floats, MessageScore, MessageTest, message_score
from stepdown.certify.search import Searched
from stepdown.certify.supply import Sources, raw_signals, supplied
from stepdown.certify.tested import Codes
from stepdown.certify.triage import Triage
from stepdown.core.derived import TRIAGE
from stepdown.core.digest import digest, seed_from
from stepdown.core.lock import Estimate, Guarantee
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


def played(step: StepCase, level: int, table: Panel) -> Played:
    """Replay one policy of a step's path on outcomes of the inputs that reached it."""
    one = step.along[level]
    if not table.n:
        return Played(table, None, {})
    case = step.case
    sources = Sources(case.rows.seed, step.triage, case.evidence.encoder)
    ready = with_confidence(table, case.maps)
    ready = supplied(ready, raw_signals([(one.policy, one.derived)]), sources)
    places = {query: place for place, query in enumerate(ready.query_ids)}
    return Played(ready, replay_array(one.policy, ready, one.derived), places)


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


class Joint(Struct, frozen=True, kw_only=True):
    """What was found for the whole pipeline, on certify rows that chose nothing.

    `codes`: the group of each message, None where no two share one.
    """

    name: str
    how: MessageScore
    max_loss: float
    steps: tuple[StepCase, ...]
    rows: Messages
    test: MessageTest
    spent: Spent
    codes: Codes | None = None
    said: tuple[str, ...] = ()

    @property
    def combo(self) -> Combination:
        """The combination that is locked."""
        return self.test.combos[self.test.chosen]

    @property
    def bound(self) -> float | None:
        """Upper end of the loss of a message; the ceilings lose nothing against themselves."""
        tested = self.test.tested
        if not self.test.chosen or tested is None:
            return 0.0
        return tested.policies[self.test.chosen].loss_bound

    @property
    def scope(self) -> str:
        """What the promise is about."""
        score = "worst step" if self.how == "worst" else "mean of the steps"
        return f"each message of the pipeline {self.name} ({score})"

    def amounts(self) -> dict[str, Estimate]:
        """Return what a message scores and costs, before (the ceiling everywhere) and after."""
        before = self.test.combos[0]
        return {
            "message_cost_usd": mean_estimate(self.rows.costs[self.combo], "usd"),
            "message_ceiling_usd": mean_estimate(self.rows.costs[before], "usd"),
            "message_score": mean_estimate(self.rows.scores[self.combo], "score"),
            "message_ceiling_score": mean_estimate(self.rows.scores[before], "score"),
        }

    def step_cost(self, combo: Combination, place: int) -> Estimate:
        """Return what one step costs a message under a combination."""
        return mean_estimate(self.rows.steps[combo][place].costs(self.rows.ids), "usd")


def certified_steps(joint: Joint) -> tuple[Certified, ...]:
    """Return each step as it is locked: its policy in the combination, and the joint promise."""
    return tuple(_certified(joint, place) for place in range(len(joint.steps)))


def _certified(joint: Joint, place: int) -> Certified:
    step, level = joint.steps[place], joint.combo[place]
    one, line = step.along[level], joint.rows.steps[joint.combo][place]
    done = line.done
    if done is None:
        raise DataError(
            f"No certify row reached the step {step.task.name!r} of the pipeline {joint.name!r}.",
            "The steps that feed it gave no answer; run `stepdown eval` on them.",
        )
    locked = locked_task(
        step.task,
        step.case.terms,
        step.case.maps,
        one.policy,
        one.derived,
        _guarantee(joint, place, line.table),
        line.table,
        done,
    )
    locked = structs.replace(locked, expected={**locked.expected, **joint.amounts()})
    foretold = any(n.startswith(f"{TRIAGE}.") for n in raw_signals([(one.policy, one.derived)]))
    return Certified(
        task=step.task,
        locked=locked,
        found=step.found,
        along=step.along,
        chosen=level,
        tested=None,
        certify_table=line.table,
        dropped=step.case.dropped,
        warnings=step.case.warnings,
        triage=step.triage if foretold else None,
    )


def _guarantee(joint: Joint, place: int, table: Panel) -> Guarantee:
    step, test = joint.steps[place], joint.test
    base = stating.base(step.case.evidence, step.case.terms, step.case.tune.n, table)
    scores = joint.rows.scores
    tested = test.tested
    return structs.replace(
        base,
        state="certified" if test.chosen else "ceiling",
        scope=joint.scope,
        promise="max_loss",
        level=joint.max_loss,
        delta=joint.spent.delta,
        bound=joint.bound,
        loss=loss_estimate(scores[joint.combo], scores[test.combos[0]]),
        n_certify=test.n,
        groups=base.groups if tested is None else tested.n_groups,
        method=tested.method if tested else "nothing cheaper than the ceilings to test",
        assumptions=(
            *((tested.assumptions,) if tested else ()),
            *joint.said,
            *joint.spent.remarks,
        ),
        looks=joint.spent.looks,
        seed=step.case.rows.seed,
        why=why(joint, place),
    )


def why(joint: Joint, place: int) -> str:
    """Say in a sentence or two why this step has this policy."""
    test = joint.test
    if test.tested is None:
        return "No step has a policy that is cheaper than its ceiling on the tune rows."
    if not test.chosen:
        return "No cheaper combination of the steps passed the test; every ceiling answers."
    said = f"Combination {test.chosen} of {len(test.combos) - 1} on the joint path of the steps."
    if joint.combo[place]:
        return said
    return f"{said} This step stays on its ceiling, and is covered by the promise of the message."
