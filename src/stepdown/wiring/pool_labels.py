"""Where the labels of a task are kept."""

from __future__ import annotations

from stepdown.adapters.tables.judgement_files import JudgementFile
from stepdown.core.task import Task
from stepdown.wiring.workspace import Workspace


def labels_of(workspace: Workspace, task: Task) -> JudgementFile:
    """Return where the labels of a task are kept; they are worth committing."""
    return JudgementFile(workspace.project.root / "labels", task.name)
