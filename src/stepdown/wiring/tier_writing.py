"""Put a tier into stepdown.toml, or into a copy of it: every comment and line of people stays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from stepdown.adapters.tables.atomic import replacing
from stepdown.config.drafted import Part, added, opened
from stepdown.config.naming import check_tier
from stepdown.config.project import FILE, Project, load_project
from stepdown.core.task import Task
from stepdown.errors import ConfigError


class NewTier(Struct, frozen=True, kw_only=True):
    """A tier to add: its name, its keys as in stepdown.toml, and the prompt of tasks for it.

    `before` is the tier of a task that it is put in front of; the ceiling where it is "". With
    `as_ceiling` it is put last.
    """

    name: str
    keys: Mapping[str, Any]
    prompt: Mapping[str, str] = {}
    before: str = ""
    as_ceiling: bool = False
    comments: tuple[str, ...] = ()


def name_for(model: str, known: Mapping[str, Any]) -> str:
    """Return a free name for a tier of a model: its words, joined by hyphens."""
    words = re.sub(r"[^a-z0-9]+", "-", model.partition(":")[2].lower()).strip("-")[:40] or "new"
    plain = words if words[0].isalpha() else f"tier-{words}"
    free = (plain if n == 1 else f"{plain}-{n}" for n in range(1, 1000))
    return next(name for name in free if name not in known)


def with_tier(text: str, task: Task, tier: NewTier) -> str:
    """Return the text of stepdown.toml with the tier, and the task that may use it.

    Raises:
        ConfigError: the task has it already, or has no list of tiers.
    """
    check_tier(tier.name)
    document = opened(text)
    said: Any = document.get("tasks", {}).get(task.name)
    listed: Any = None if said is None else said.get("tiers")
    if listed is None:
        raise ConfigError(f"{FILE}: tasks.{task.name} has no `tiers` to add to.")
    if tier.name in listed:
        raise ConfigError(f"The task {task.name!r} has the tier {tier.name!r} already.")
    listed.insert(_place(list(listed), tier), tier.name)
    if tier.prompt:
        said.setdefault("prompts", {})[tier.name] = dict(tier.prompt)
    part = Part(section="tiers", name=tier.name, keys=tier.keys, comments=tier.comments)
    return added(document.as_string(), [part] if tier.keys else [])


def _place(listed: list[str], tier: NewTier) -> int:
    if tier.as_ceiling:
        return len(listed)
    return listed.index(tier.before) if tier.before in listed else max(len(listed) - 1, 0)


def trial_of(root: Path, text: str) -> Project:
    """Return the project that a text of stepdown.toml would be; the file itself is not touched.

    Raises:
        ConfigError: it would not load.
    """
    trial = root / f".{FILE}.trial"
    try:
        trial.write_text(text, encoding="utf-8")
        return load_project(trial)
    except OSError as error:
        raise ConfigError(f"{trial} cannot be written: {error.strerror}.") from None
    finally:
        trial.unlink(missing_ok=True)


def write_tier(root: Path, task: Task, tier: NewTier) -> None:
    """Add the tier to the project's file, whole or not at all.

    Raises:
        ConfigError: the file would not load with it; it stays as it was.
    """
    path = root / FILE
    text = with_tier(path.read_text(encoding="utf-8"), task, tier)
    trial_of(root, text)
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
