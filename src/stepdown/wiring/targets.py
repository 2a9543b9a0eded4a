"""What `certify NAMES` means: which pipelines, and which tasks alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from stepdown.config.naming import nearest
from stepdown.config.pipelines import promised_by
from stepdown.config.project import Project
from stepdown.core.task import Task
from stepdown.errors import ConfigError
from stepdown.wiring.workspace import Workspace


class Wanted(Struct, frozen=True):
    """What is certified: pipelines that promise something, and tasks alone."""

    pipelines: tuple[str, ...]
    tasks: tuple[Task, ...]


def wanted(workspace: Workspace, names: Sequence[str], *, from_table: bool = False) -> Wanted:
    """Return what `certify NAMES` means: without names everything, each once.

    An outcome table holds no answers to what the steps of a pipeline would make, so it certifies
    the other tasks alone.

    Raises:
        ConfigError: there is no such task or pipeline, the pipeline promises nothing, or the task
            is covered by the promise of one.
    """
    project, names = workspace.project, tuple(dict.fromkeys(names))
    covered = promised_by(project.promised)
    for name in names:
        _refuse_name(project, name, covered)
    alone = [name for name in names or project.tasks if name in project.tasks]
    tasks = tuple(project.task(name) for name in alone if name not in covered)
    pipelines = tuple(name for name in names or project.promised if name in project.promised)
    if from_table and not names and tasks:
        return Wanted((), tasks)
    found = Wanted(pipelines, tasks)
    if from_table and found.pipelines:
        raise ConfigError(
            f"The pipeline {found.pipelines[0]!r} cannot be certified from an outcome table: it "
            "would need answers to whatever the steps before make.",
            f"Run `stepdown certify {found.pipelines[0]}` without --outcomes.",
        )
    return found


def _refuse_name(project: Project, name: str, covered: Mapping[str, str]) -> None:
    if name in covered:
        raise ConfigError(
            f"The task {name!r} is a step of the pipeline {covered[name]!r}, whose promise covers "
            "it; another policy for it alone would break that promise.",
            f"Run `stepdown certify {covered[name]}`.",
        )
    if name in project.promised or name in project.tasks:
        return
    if name in project.pipelines:
        raise ConfigError(
            f"The pipeline {name!r} promises nothing.",
            f"Name its tasks, or write a table [pipelines.{name}] with `steps` and `promise`.",
        )
    if not project.promised:
        project.task(name)  # raises
    known = [*project.tasks, *project.promised]
    raise ConfigError(
        f"There is no task or pipeline {name!r}.", nearest(name, known, "tasks and pipelines")
    )
