"""Which tasks have a label queue, without making one: it reads names and files only."""

from __future__ import annotations

from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.wiring.pool_labels import labels_of
from stepdown.wiring.workspace import Workspace


def queues(workspace: Workspace) -> list[tuple[str, int, str]]:
    """Return each task with how many judgements are kept, and why it has no queue ("": it may)."""
    return [(name, *_queue(workspace, task)) for name, task in workspace.project.tasks.items()]


def _queue(workspace: Workspace, task: Task) -> tuple[int, str]:
    try:
        kept = len(labels_of(workspace, task).read())
    except DataError as error:
        return 0, f"{error.message} {error.hint}".strip()
    return kept, _why_not(workspace, task)


def _why_not(workspace: Workspace, task: Task) -> str:
    keys = workspace.project.data
    if keys is None or keys.pool is None:
        return "no unlabelled rows: `pool` under [data] names none"
    if task.name in workspace.project.inputs:
        return "the task reads its input elsewhere, so a pool cannot feed it"
    if task.kind == "embed":
        return "an embed task has one tier"
    if task.thresholds:
        return "its thresholds are set by hand: no label decides anything"
    return ""
