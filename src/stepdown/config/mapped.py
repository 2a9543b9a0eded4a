"""Checks of `[serve.models]`: names of today that stand for tasks."""

from __future__ import annotations

from stepdown.config.naming import nearest
from stepdown.config.schema import FileKeys, MappedKeys
from stepdown.core.keeping import Keeping
from stepdown.core.task import PLACES, Place, within
from stepdown.core.tier import Tier
from stepdown.errors import ConfigError


def tasks_meant(keys: FileKeys, said: MappedKeys) -> list[str]:
    """Return the tasks that a mapped name may stand for: those named, else all that chat."""
    return said.tasks or [name for name, task in keys.tasks.items() if task.kind != "embed"]


def keeping_of(keys: FileKeys) -> dict[str, Keeping]:
    """Return what is kept of requests that match no task of a mapped name: never a text.

    Nothing at all where one of the tasks stores nothing: such a request may be of that task.
    """
    found = {}
    for name, said in keys.serve.models.items():
        stored = {keys.tasks[task].store for task in tasks_meant(keys, said) if task in keys.tasks}
        found[name] = Keeping("none" if "none" in stored else "metadata")
    return found


def check_mapped(keys: FileKeys, tiers: dict[str, Tier]) -> None:
    """Refuse a name that is taken, a task or tier that is not there, and a tier that may not see.

    Raises:
        ConfigError: names the key.
    """
    for name, said in keys.serve.models.items():
        key = f"serve.models.{name}"
        if name in keys.tasks or name.startswith("tier:"):
            raise ConfigError(f"{key}: {name!r} has a meaning already.", "Map another name.")
        for task in said.tasks:
            if task not in keys.tasks or keys.tasks[task].kind == "embed":
                hint = nearest(task, keys.tasks, "tasks")
                raise ConfigError(f"{key}.tasks: no task {task!r} that answers chats.", hint)
        _check_otherwise(key, keys, said, tiers)


def _check_otherwise(key: str, keys: FileKeys, said: MappedKeys, tiers: dict[str, Tier]) -> None:
    meant = {name: keys.tasks[name] for name in tasks_meant(keys, said)}
    theirs = {tier: None for task in meant.values() for tier in task.tiers}
    if said.otherwise not in theirs:
        hint = nearest(said.otherwise, theirs, "tiers of these tasks")
        raise ConfigError(f"{key}.otherwise: no task of it has a tier {said.otherwise!r}.", hint)
    tightest: Place = min((task.boundary for task in meant.values()), key=PLACES.index)
    place = tiers[said.otherwise].place
    if not within(place, tightest):
        private = next(name for name, task in meant.items() if task.boundary == tightest)
        raise ConfigError(
            f"{key}.otherwise: {said.otherwise!r} is at {place!r}, and what matches no task may be "
            f"of {private!r}, whose data stay inside {tightest!r}.",
            "Name a tier inside that boundary, or leave that task out of `tasks`.",
        )
