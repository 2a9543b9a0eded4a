"""What the card of a task's eval set says that a reader of its scores must know."""

from __future__ import annotations

from pathlib import Path

import msgspec

from stepdown.core.task import Task
from stepdown.evals.import_card import Card
from stepdown.wiring.importing import beside
from stepdown.wiring.workspace import Workspace


def card_notes(workspace: Workspace, task: Task) -> tuple[str, ...]:
    """Return that references are a model's own answers, where the card or the task says so."""
    card = card_of(workspace, task)
    if card is None or card.reference_is == "gold":
        return (_agreement("the ceiling"),) if task.reference_is == "ceiling" else ()
    names = ", ".join(card.reference_models) or "a model"
    return (_agreement(f"{names} (imported {card.date})"),)


def card_of(workspace: Workspace, task: Task) -> Card | None:
    """Return the card beside a task's set, None where there is none that can be read."""
    path = _set_of(workspace, task)
    if path is None:
        return None
    try:
        return msgspec.json.decode(beside(path, "card.json").read_bytes(), type=Card)
    except (OSError, msgspec.MsgspecError):
        return None


def _agreement(whose: str) -> str:
    return f"The references are logged answers of {whose}: scores are agreement with it, not truth."


def _set_of(workspace: Workspace, task: Task) -> Path | None:
    project = workspace.project
    name = project.references.get(task.name) or (project.data.path if project.data else None)
    return None if name is None else project.root / name
