"""Put a chosen policy into the shape of the lock."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from stepdown.certify.evidence import Terms
from stepdown.certify.figures import expected, kept_shares
from stepdown.certify.watched import watched
from stepdown.core.confidence import Calibrator
from stepdown.core.derived import Derived
from stepdown.core.lock import Guarantee, LockedTask
from stepdown.core.policy import Policy
from stepdown.core.replay_array import Panel, ReplayedArray
from stepdown.core.task import Task


def all_tiers(policy: Policy, order: tuple[str, ...]) -> Policy:
    """Let a policy know every tier, so that what it does not foresee finds the strongest."""
    return structs.replace(policy, tiers=order)


def reaching(policy: Policy, task: Task, order: tuple[str, ...]) -> Policy:
    """Let a policy know every tier, unless the task's answers never mix (`Task.cascades`)."""
    return all_tiers(policy, order) if task.cascades else policy


def polisher_is_recorded(task: Task, terms: Terms) -> bool:
    """Say whether the tier that polishes is a recording, which cannot."""
    by = task.polish_by or task.ceiling
    return by in terms.tiers and terms.tiers[by].recorded


def locked_task(
    task: Task,
    terms: Terms,
    maps: Mapping[str, Calibrator],
    policy: Policy,
    derived: Mapping[str, Derived],
    guarantee: Guarantee,
    table: Panel,
    done: ReplayedArray,
) -> LockedTask:
    """Return the locked task; `done` is the policy's replay of the certify rows `table`."""
    return LockedTask(
        policy=policy,
        contract=task.contract.digest,
        settings=terms.settings,
        guarantee=guarantee,
        tiers=terms.tiers,
        confidence=maps,
        signals=derived,
        expected=expected(table, done, task.ceiling, terms.baseline),
        kept=kept_shares(done),
        watched=watched(table, done, task.ceiling),
    )
