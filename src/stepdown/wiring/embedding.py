"""The embed tasks that a gateway answers: each by the one tier that the lock names."""

from __future__ import annotations

from collections.abc import Callable

from stepdown.core.lock import Lock
from stepdown.core.task import Task
from stepdown.core.trace import GuaranteeState, Trace
from stepdown.serve.embedding import Embedding, EmbedStep
from stepdown.serve.gate import Gates
from stepdown.wiring.lockfile import check_task
from stepdown.wiring.workspace import Workspace


def open_embedding(
    workspace: Workspace, lock: Lock, append: Callable[[Trace], None], gates: Gates
) -> Embedding:
    """Return what answers the embed tasks of a project.

    A task that the lock does not hold is answered by its strongest tier, without a guarantee.

    Raises:
        LockError: a task's settings or its tier's digest is not what was locked.
    """
    tasks = [task for task in workspace.tasks() if task.kind == "embed"]
    steps = {task.name: _step(workspace, lock, task, gates) for task in tasks}
    return Embedding(steps, append, lock_digest=lock.digest)


def _step(workspace: Workspace, lock: Lock, task: Task, gates: Gates) -> EmbedStep:
    name, state = _locked(workspace, lock, task)
    tier = workspace.tiers[name]
    return EmbedStep(
        task=task,
        tier=tier,
        embedder=workspace.models.embedder(name),
        gate=gates.of(name, embedded=tier.place == "embedded"),
        state=state,
    )


def _locked(workspace: Workspace, lock: Lock, task: Task) -> tuple[str, GuaranteeState]:
    if task.name not in lock.tasks:
        return task.ceiling, "none"
    digests = {tier: locked.digest for tier, locked in workspace.locked_tiers(task).items()}
    settings = workspace.project.settings_digest(task)
    check_task(lock, task.name, settings, task.contract.digest, digests)
    locked = lock.tasks[task.name]
    return locked.policy.by_state[()].otherwise.target, locked.guarantee.state
