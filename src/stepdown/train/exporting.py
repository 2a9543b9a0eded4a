"""Training examples as chat-format lines for others' trainers, checked against their rules.

A line is made of the messages that a tier is asked and the answer that it should give. It reads no
project, writes no file, and knows no price.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.core.digest import digest
from stepdown.core.request import Message
from stepdown.errors import ConfigError

FORMATS = ("openai", "anthropic-batch", "trl", "axolotl", "unsloth")


class Rules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a receiver asks for; None where its document says nothing.

    `least` and `most` count examples, `recommended` is the number from which it expects a gain.
    """

    source: str
    read: date
    least: int
    roles: tuple[str, ...]
    recommended: int | None = None
    most: int | None = None
    most_file_bytes: int | None = None
    most_tokens: int | None = None
    id_pattern: str | None = None
    notes: tuple[str, ...] = ()


class Dialogue(Struct, frozen=True, kw_only=True):
    """One example: its id, what the model is asked, and what it should answer."""

    id: str
    messages: tuple[Message, ...]
    answer: str


class Line(Struct, frozen=True):
    """A line of a file, and the estimated tokens of its example."""

    data: bytes
    tokens: int


@cache
def rules_of(name: str) -> Rules:
    """Return the rules of a format.

    Raises:
        ConfigError: there is no such format; names those that are.
    """
    if name not in FORMATS:
        raise ConfigError(f"--format {name!r} is unknown.", f"Use one of {', '.join(FORMATS)}.")
    text = files("stepdown.train").joinpath("export_rules.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text)[name], Rules)


def lines_of(
    name: str,
    dialogues: Iterable[Dialogue],
    estimate: Callable[[str], int],
    *,
    model: str = "",
    max_tokens: int = 0,
) -> tuple[Line, ...]:
    """Return each example as a line of a format; `model` and `max_tokens` are for requests."""
    return tuple(
        Line(
            msgspec.json.encode(_shaped(name, one, model, max_tokens)) + b"\n",
            sum(estimate(message.text) for message in one.messages) + estimate(one.answer),
        )
        for one in dialogues
    )


def _shaped(name: str, one: Dialogue, model: str, max_tokens: int) -> Mapping[str, Any]:
    asked = [{"role": message.role, "content": message.text} for message in one.messages]
    said = {"role": "assistant", "content": one.answer}
    if name == "anthropic-batch":
        return _request(one, asked, model, max_tokens)
    if name == "trl":
        return {"prompt": asked, "completion": [said]}
    return {"conversations" if name == "unsloth" else "messages": [*asked, said]}


def _request(
    one: Dialogue, asked: Sequence[Mapping[str, str]], model: str, max_tokens: int
) -> Mapping[str, Any]:
    """Return a request of a batch: the system prompt stands beside the messages."""
    system = "\n".join(m["content"] for m in asked if m["role"] == "system")
    rest = [m for m in asked if m["role"] != "system"]
    params: dict[str, Any] = {"model": model, "max_tokens": max_tokens, "messages": rest}
    if system:
        params["system"] = system
    return {"custom_id": custom_id(one.id), "params": params}


def custom_id(sample: str) -> str:
    """Return an id that a batch accepts: the sample's own, else a digest of it."""
    pattern = rules_of("anthropic-batch").id_pattern or ""
    if re.fullmatch(pattern, sample):
        return sample
    return "d-" + digest(sample).removeprefix("sha256:")[:40]


def problems_of(
    name: str, dialogues: Sequence[Dialogue], lines: Sequence[Line], what: str
) -> list[str]:
    """Return what a receiver would refuse of a file, in sentences."""
    rules, found = rules_of(name), []
    if len(lines) < rules.least:
        found.append(f"{what} has {len(lines)} examples; at least {rules.least} are asked for")
    if rules.most is not None and len(lines) > rules.most:
        found.append(f"{what} has {len(lines):,} examples; at most {rules.most:,} are allowed")
    size = sum(len(line.data) for line in lines)
    if rules.most_file_bytes is not None and size > rules.most_file_bytes:
        found.append(f"{what} has {size:,} bytes; at most {rules.most_file_bytes:,} are allowed")
    for one, line in zip(dialogues, lines, strict=True):
        found += _wrong(name, one, line, rules)
    return found


def _wrong(name: str, one: Dialogue, line: Line, rules: Rules) -> list[str]:
    found = []
    if rules.most_tokens is not None and line.tokens > rules.most_tokens:
        found.append(
            f"{one.id} has about {line.tokens:,} tokens; at most {rules.most_tokens:,} are allowed"
        )
    roles = [m.role for m in one.messages if not (name == "anthropic-batch" and m.role == "system")]
    odd = [role for role in roles if role not in rules.roles]
    if odd:
        found.append(f"{one.id} has a message of the role {odd[0]!r}, which {name} does not know")
    if not one.answer.strip():
        found.append(f"{one.id} has an empty answer")
    if not roles or roles[-1] == "assistant":
        found.append(f"{one.id} ends with a message that is not the user's")
    return found


def axolotl_config(train: str, validation: str | None) -> str:
    """Return the part of axolotl's configuration that names the files."""
    tested = [f"test_datasets:\n  - path: {validation}\n{_CHAT}"] if validation else []
    return "\n".join([f"datasets:\n  - path: {train}\n{_CHAT}", *tested])


_CHAT = """\
    ds_type: json
    split: train
    type: chat_template
    field_messages: messages
    roles_to_train: ["assistant"]
"""
