"""Tuned prompts at work: what is promoted stands in the task as its tier's own prompt.

So evals, certificates and the gateway all ask with it, and the lock's digest of the settings covers
it. A lock that was certified with another prompt is served with that one, as long as its file is
there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import msgspec

from stepdown.adapters.tables.prompt_files import load_prompt
from stepdown.config.project import Project
from stepdown.core.artifact import Artifact
from stepdown.core.contract import Prompt
from stepdown.core.lock import Lock
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.core.tuned_prompt import with_prompt
from stepdown.errors import DataError, WeightsError
from stepdown.wiring.registry import FILE, Registry

NAME = "prompt"
_MOST = 256  # combinations of prompts that are tried against a lock


def tuned(project: Project, registry: Registry) -> Project:
    """Return a project whose tasks have the prompts that are promoted.

    A registry that cannot be read changes nothing: the verbs that need it say so.
    """
    found = [one for one in _artifacts(registry) if one.state == "promoted"]
    tasks = dict(project.tasks)
    for one in found:
        prompt = _prompt(registry, one)
        if prompt is not None and _asks(tasks, one):
            tasks[one.task] = with_prompt(tasks[one.task], one.tier, prompt)
    return msgspec.structs.replace(project, tasks=tasks) if found else project


def asked_as(task: Task, tier: Tier, recipe: str, path: Path, digest: str) -> Task:
    """Return the task as what a recipe made is asked it: with the prompt, where that is the result.

    Raises:
        WeightsError: the file is missing or differs.
    """
    if recipe != NAME:
        return task
    return with_prompt(task, tier.name, load_prompt(path, digest).prompt)


def as_locked(project: Project, plain: Project, registry: Registry, lock: Lock) -> Project:
    """Return a project whose tasks have the prompts that a lock was certified with.

    `plain` is the project as `stepdown.toml` has it. Where no known prompt fits, a task stays as
    it is, and whoever checks the lock says that its settings differ.
    """
    known = _artifacts(registry)
    if not known:
        return project
    tasks = dict(project.tasks)
    for name, locked in lock.tasks.items():
        if name in tasks and locked.settings != project.settings_digest(tasks[name]):
            mine = [one for one in known if one.task == name and _asks(tasks, one)]
            for tried in _ways(plain.tasks[name], registry, mine):
                changed = msgspec.structs.replace(project, tasks={**tasks, name: tried})
                if changed.settings_digest(tried) == locked.settings:
                    tasks[name] = tried
                    break
    return msgspec.structs.replace(project, tasks=tasks)


def _ways(task: Task, registry: Registry, known: list[Artifact]) -> Iterator[Task]:
    """Yield a task with each combination of its tiers' prompts, the newest first, then plain."""
    tiers = sorted({one.tier for one in known})
    choices: list[list[Prompt | None]] = [
        [*(_prompt(registry, one) for one in reversed(known) if one.tier == tier), None]
        for tier in tiers
    ]
    for _, prompts in zip(range(_MOST), product(*choices), strict=False):
        tried = task
        for tier, prompt in zip(tiers, prompts, strict=True):
            tried = with_prompt(tried, tier, prompt) if prompt is not None else tried
        yield tried


def _artifacts(registry: Registry) -> list[Artifact]:
    if not (registry.folder / FILE).exists():
        return []
    try:
        return [one for one in registry.all() if one.recipe.partition(" ")[0] == NAME]
    except DataError:
        return []


def _asks(tasks: Mapping[str, Task], artifact: Artifact) -> bool:
    return artifact.task in tasks and artifact.tier in tasks[artifact.task].tiers


def _prompt(registry: Registry, artifact: Artifact) -> Prompt | None:
    """Return an artifact's prompt, None where its file is not what was registered.

    Who asks the tier opens the file too, and says what is wrong with it.
    """
    try:
        return load_prompt(registry.folder / artifact.file, artifact.digest).prompt
    except WeightsError:
        return None
