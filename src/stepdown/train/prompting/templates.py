"""The instructions that ship, by the shape of a task's answer, filled for one task.

They are data (`templates.toml`); nothing here knows which is good.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec
from msgspec import Struct

from stepdown.core.contract import Prompt
from stepdown.core.task import CHOICES, OBJECTS, TEXTS, Task

Shape = Literal["choices", "objects", "texts"]
_FILE = "templates.toml"
_PLACE = re.compile(r"\{(descriptions|fields|first)\}")
_TOKENS: Mapping[Shape, int] = {"choices": 16, "objects": 200, "texts": 200}


class Template(Struct, frozen=True, forbid_unknown_fields=True):
    """One instruction with places for what the task says of itself."""

    name: str
    system: str
    user: str


class Said(Struct, frozen=True, kw_only=True):
    """What a task says of itself: the first line of its instruction, and its labels or fields."""

    first: str
    descriptions: Mapping[str, str]

    @property
    def listed(self) -> str:
        """A line for each label or field."""
        return "\n".join(f"{name}: {text}" for name, text in self.descriptions.items())


def shape_of(task: Task) -> Shape | None:
    """Return the shape of a task's answer; None for tasks whose prompts are not tuned."""
    if task.kind in CHOICES and task.labels:
        return "choices"
    if task.kind in OBJECTS and task.structured:
        return "objects"
    return "texts" if task.kind in TEXTS else None


@cache
def templates() -> Mapping[Shape, Sequence[Template]]:
    """Return the instructions that ship."""
    raw = (files("stepdown.train.prompting") / _FILE).read_bytes()
    found: Mapping[Shape, Sequence[Template]] = msgspec.toml.decode(
        raw, type=dict[Shape, tuple[Template, ...]]
    )
    return found


def filled(template: Template, task: Task, said: Said, max_tokens: int | None) -> Prompt:
    """Return a prompt of a template for a task; an answer may be as long as today's."""
    shape = shape_of(task)
    assert shape is not None
    known = {
        "descriptions": said.listed,
        "fields": ", ".join(said.descriptions),
        "first": said.first,
    }
    system = _PLACE.sub(lambda at: known[at[1]], template.system).strip()
    return Prompt(
        user=template.user, system=system or None, max_tokens=max_tokens or _TOKENS[shape]
    )


def today(task: Task, tier: str) -> Prompt:
    """Return the tier's own prompt; where it has none, what today's caller sends.

    A caller's variables (`{*}`) are left empty. The answer is then read without the caller's shape.
    """
    own = task.prompt_for(tier)
    if own is not None:
        return own
    system = task.contract.system
    plain = None if system is None else system.replace("{*}", "")
    return Prompt(user=task.contract.user.replace("{*}", ""), system=plain)
