"""Which tasks a review can speak of: those that are locked, each by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stepdown.config.naming import nearest
from stepdown.config.pipelines import promised_by
from stepdown.core.lock import Lock
from stepdown.core.task import Task
from stepdown.errors import LockError
from stepdown.wiring.lockfile import refuse_table
from stepdown.wiring.workspace import Workspace


def reviewable(
    workspace: Workspace, lock: Lock, names: Sequence[str], warn: Callable[[str], None]
) -> tuple[Task, ...]:
    """Return the locked tasks to review, all when none is named; say which are passed over.

    Raises:
        LockError: a named task is not locked, or the lock is of an outcome table.
        ConfigError: a named task is not in stepdown.toml.
    """
    refuse_table(lock)
    project, covered = workspace.project, promised_by(workspace.project.promised)
    for name in names:
        project.task(name)  # raises where stepdown.toml has none
        if name not in lock.tasks:
            raise LockError(
                f"The lock holds no task {name!r}.", nearest(name, list(lock.tasks), "tasks")
            )
    found = []
    for name in dict.fromkeys(names or lock.tasks):
        if name not in project.tasks:
            warn(f"{name} is locked, but stepdown.toml has no such task any more; passed over.")
        elif name in covered:
            warn(
                f"{name} is a step of the pipeline {covered[name]!r}, whose promise is for whole "
                f"messages: certify that again with fresh rows (`stepdown certify "
                f"{covered[name]}`)."
            )
        else:
            found.append(project.task(name))
    return tuple(found)
