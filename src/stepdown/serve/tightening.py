"""What a caller's hints change: they tighten what is configured and never widen it."""

from __future__ import annotations

import msgspec

from stepdown.core.hints import Hints
from stepdown.core.policy import Action, Policy
from stepdown.core.task import PLACES, TEXTS
from stepdown.serve.step import Step


def tightened(step: Step, hints: Hints) -> Step:
    """Return the step as the caller's hints tighten it; a hint never widens what is configured."""
    task = step.task
    if hints.boundary is not None and PLACES.index(hints.boundary) < PLACES.index(task.boundary):
        task = msgspec.structs.replace(task, boundary=hints.boundary)
    policy = step.policy
    if hints.customer_facing and not task.customer_facing and task.kind in TEXTS:
        policy = polished_before_sent(policy, task.polish_by or policy.ceiling)
    if task is step.task and policy is step.policy:
        return step
    return msgspec.structs.replace(step, task=task, policy=policy)


def polished_before_sent(policy: Policy, by: str) -> Policy:
    """Return the policy that has `by` rewrite every answer of another tier before it is sent."""

    def instead(action: Action) -> Action:
        is_other = action.kind == "accept" and action.target != by
        return Action("polish", by) if is_other else action

    rows = tuple(
        msgspec.structs.replace(
            row,
            otherwise=instead(row.otherwise),
            when=tuple(msgspec.structs.replace(c, then=instead(c.then)) for c in row.when),
        )
        for row in policy.rows
    )
    return msgspec.structs.replace(policy, rows=rows)
