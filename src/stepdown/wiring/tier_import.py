"""`train import`: what another trainer made, hosted or served, as a tier of a task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.adapters.listings.lists import openai_list
from stepdown.core.contract import Prompt
from stepdown.core.task import Task
from stepdown.errors import ConfigError, InputError, ModelError
from stepdown.wiring.tier_writing import NewTier, name_for, write_tier
from stepdown.wiring.training_export import read_card
from stepdown.wiring.workspace import Workspace

SHOWN = 12  # names of models that an error lists


class Import(Struct, frozen=True, kw_only=True):
    """A model that was trained elsewhere. `card` is that of the export it was trained on."""

    model: str
    name: str = ""
    base_url: str = ""
    api_key_env: str = ""
    priced_as: str = ""
    usd_in: float | None = None
    usd_out: float | None = None
    before: str = ""
    card: Path | None = None


class Imported(Struct, frozen=True, kw_only=True):
    """The tier that was written, and what must be known about it."""

    task: str
    tier: str
    keys: Mapping[str, Any]
    prompt: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def take_in(workspace: Workspace, task: Task, wish: Import) -> Imported:
    """Write the tier into stepdown.toml and put it into the task.

    Raises:
        ConfigError: the file would not load with it, or the server lists no such model.
        DataError: the card is none.
        InputError: the card is of another task.
    """
    keys, notes = _keys(wish), []
    prompt = _prompt(task, wish)
    if wish.base_url:
        notes += _listed(workspace, wish)
    if "price" not in keys and "priced_as" not in keys:
        notes.append("It has no price: its cost is unknown and counted as such.")
    tier = NewTier(
        name=wish.name or name_for(wish.model, workspace.project.tiers),
        keys=keys,
        prompt=prompt,
        before=wish.before,
        comments=_said(wish),
    )
    if tier.name in workspace.project.tiers:
        raise ConfigError(f"There is a tier {tier.name!r} already.", "Give another --name.")
    write_tier(workspace.project.root, task, tier)
    return Imported(task=task.name, tier=tier.name, keys=keys, prompt=prompt, notes=tuple(notes))


def _keys(wish: Import) -> dict[str, Any]:
    if ":" not in wish.model:
        raise InputError(
            f"{wish.model!r} names no adapter.",
            "Write openai:NAME, also for a server that speaks its wire (vLLM), with --base-url.",
        )
    said = {"base_url": wish.base_url, "api_key_env": wish.api_key_env, "priced_as": wish.priced_as}
    keys: dict[str, Any] = {"model": wish.model, **{k: v for k, v in said.items() if v}}
    if wish.usd_in is not None and wish.usd_out is not None:
        keys["price"] = {
            "input_usd_per_mtok": wish.usd_in,
            "output_usd_per_mtok": wish.usd_out,
            "source": "given to stepdown train import",
        }
    return keys


def _prompt(task: Task, wish: Import) -> dict[str, Any]:
    """Return the prompt that it was trained with; {} where that is what callers send today."""
    if wish.card is None:
        return {}
    card = read_card(wish.card)
    if card.task != task.name:
        raise InputError(
            f"{wish.card} is an export of the task {card.task!r}, not of {task.name!r}."
        )
    asked_today = Prompt(user=task.contract.user, system=task.contract.system)
    if card.prompt == asked_today:
        return {}
    plain: dict[str, Any] = msgspec.to_builtins(card.prompt)
    return {"user": card.prompt.user, **plain}


def _said(wish: Import) -> tuple[str, ...]:
    if wish.card is None:
        return ()
    card = read_card(wish.card)
    return (f"Trained elsewhere on an export of {card.date}, {card.digest}",)


def _listed(workspace: Workspace, wish: Import) -> list[str]:
    """Refuse a model that its server does not list; a server that is silent is told of.

    vLLM lists each adapter under its own name beside the base model.
    """
    key = workspace.environment.variables.get(wish.api_key_env, "") if wish.api_key_env else ""
    try:
        names = [one.id for one in openai_list(wish.base_url, key, "")]
    except ModelError as error:
        return [f"Whether the server knows the model could not be asked: {error.message}"]
    name = wish.model.partition(":")[2]
    if name not in names:
        raise ConfigError(
            f"The server at {wish.base_url} lists no model {name!r}.",
            f"It lists: {', '.join(sorted(names)[:SHOWN]) or 'none'}.",
        )
    return []
