"""`train --add-tier`: write the tier that ships, and put it into a task, in stepdown.toml.

Every comment and line that people wrote stays; a file that would not load is not written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from stepdown.adapters.tables.atomic import replacing
from stepdown.config.drafted import added, opened
from stepdown.config.project import FILE, load_project
from stepdown.core.task import Task
from stepdown.errors import ConfigError
from stepdown.wiring.audit_tiers import EXPERT, expert
from stepdown.wiring.workspace import Workspace

LINES = """\
[tiers.expert]
model = "head:static-minilm-256"
and "expert" in the `tiers` of the task, before its ceiling"""


def needs_tier(workspace: Workspace, task: Task) -> str:
    """Return what to write so that a task has a tier to train."""
    if not task.labels:
        return f"No recipe makes a tier of {task.name!r}, a {task.kind} task, by itself."
    return f"Write in {FILE}:\n{LINES}, or run it again with --add-tier."


def add_tier(workspace: Workspace, task: Task) -> str:
    """Add the tier to the project's file and return its name.

    Raises:
        ConfigError: the task has no labels, has such a tier, or the file cannot be edited.
    """
    if not task.labels:
        raise ConfigError(f"--add-tier: {needs_tier(workspace, task)}", "Tasks with labels can.")
    path = workspace.project.root / FILE
    before = path.read_text(encoding="utf-8")
    name = _name(workspace)
    text = _with_tier(before, task, name, workspace)
    _check(path, text)
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
    return name


def _name(workspace: Workspace) -> str:
    """Return the name of a tier with that model, else one that is free."""
    wanted = expert().keys["model"]
    same = [name for name, tier in workspace.project.tiers.items() if tier.model == wanted]
    if same:
        return same[0]
    free = (f"{EXPERT}{n or ''}" for n in (0, *range(2, 1000)))
    return next(name for name in free if name not in workspace.project.tiers)


def _with_tier(text: str, task: Task, name: str, workspace: Workspace) -> str:
    document = opened(text)
    listed: Any = document["tasks"][task.name].get("tiers")
    if name in task.tiers:
        raise ConfigError(
            f"The task {task.name!r} has the tier {name!r} already.",
            f"Run `stepdown train {task.name} --tier {name}`.",
        )
    if listed is None:
        raise ConfigError(f"{FILE}: tasks.{task.name} has no `tiers` to add to.")
    rules = [n for n in task.tiers if workspace.project.tiers[n].adapter == "rule"]
    listed.insert(len(rules), name)
    return added(document.as_string(), [replace(expert(), name=name)])


def _check(path: Path, text: str) -> None:
    """Refuse what would not load; the file on disk is not touched."""
    trial = path.with_name(f".{FILE}.trial")
    try:
        trial.write_text(text, encoding="utf-8")
        load_project(trial)
    finally:
        trial.unlink(missing_ok=True)
