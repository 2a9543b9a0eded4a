"""Add drafted tasks to a stepdown.toml without touching what people wrote in it.

It edits text with every comment kept; whether the result is a project is checked by who writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tomlkit
from msgspec import Struct
from tomlkit.items import Table

DATA, ROWS = "data", "data/messages.jsonl"
Pairs = Sequence[tuple[str, Any]]


class Part(Struct, frozen=True, kw_only=True):
    """A table to add: its section and name, keys in order, comments before it.

    With `why` the table is written as a comment: it cannot be used before a person finished it.
    """

    section: str
    name: str
    keys: Mapping[str, Any]
    comments: tuple[str, ...] = ()
    why: str | None = None


def opened(text: str) -> tomlkit.TOMLDocument:
    """Return a file for editing."""
    return tomlkit.parse(text)


def added(text: str, parts: Sequence[Part], head: Pairs = ()) -> str:
    """Return the text with the parts at its end; a table that stands there already stays as it is.

    `head` are (section, keys) that a file without that section gets before everything else.
    """
    known = opened(text)
    pieces = [text.rstrip() + "\n"] if text.strip() else []
    pieces += [_table((section,), keys, ()) for section, keys in head if section not in known]
    for part in parts:
        if part.name not in known.get(part.section, {}):
            pieces.append(_part(part))
    return "\n".join(pieces)


def _part(part: Part) -> str:
    text = _table((part.section, part.name), part.keys, part.comments)
    if part.why is None:
        return text
    lines = [f"Not written: {part.why}.", *text.splitlines()]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _table(place: Sequence[str], keys: Mapping[str, Any], comments: Sequence[str]) -> str:
    inner = tomlkit.table()
    for name, value in keys.items():
        inner.add(name, _item(value))
    document = tomlkit.document()
    document.add(place[0], _nested(place[1:], inner))
    said = "".join(f"# {' '.join(line.split())}\n" for line in comments)
    return said + tomlkit.dumps(document)


def _nested(names: Sequence[str], inner: Table) -> Table:
    for name in reversed(names):
        outer = tomlkit.table(is_super_table=True)
        outer.add(name, inner)
        inner = outer
    return inner


def _item(value: Any) -> Any:
    if isinstance(value, str):
        several = "\n" in value[1:] and '"""' not in value and "\\" not in value
        return tomlkit.string(value, multiline=several)
    if isinstance(value, Mapping):
        table = tomlkit.table() if any("\n" in str(v) for v in value.values()) else None
        table = table or tomlkit.table()
        for name, one in value.items():
            table.add(name, _item(one))
        return table
    return tomlkit.item(value)
