"""The promise of a pipeline as it stands in the lock: one test, and every step that it covers."""

from __future__ import annotations

from msgspec import Struct, structs

from stepdown.certify import stating
from stepdown.certify.evidence import Certified
from stepdown.certify.figures import loss_estimate, mean_estimate
from stepdown.certify.locking import locked_task
from stepdown.certify.looks import Spent
from stepdown.certify.messages import Messages, StepCase
from stepdown.certify.pipelines import Combination, MessageScore, MessageTest
from stepdown.certify.supply import raw_signals
from stepdown.certify.tested import Codes
from stepdown.core.derived import TRIAGE
from stepdown.core.lock import Estimate, Guarantee
from stepdown.core.replay_array import Panel
from stepdown.errors import DataError


class Joint(Struct, frozen=True, kw_only=True):
    """What was found for the whole pipeline, on certify rows that chose nothing.

    `codes`: the group of each message, None where no two share one; `needed`: the messages that
    would decide, None where that is not known.
    """

    name: str
    how: MessageScore
    max_loss: float
    steps: tuple[StepCase, ...]
    rows: Messages
    test: MessageTest
    spent: Spent
    codes: Codes | None = None
    needed: int | None = None
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
        labels_needed=joint.needed,
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
