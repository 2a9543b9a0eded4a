"""What stands at the start of a file: the JSON objects that tell one format from another."""

from __future__ import annotations

from typing import Any

import msgspec

LOOK_AT = 20


def first_objects(first: bytes) -> list[dict[str, Any]]:
    """Return the JSON objects among the first whole lines (at most 20); skip broken ones."""
    found: list[dict[str, Any]] = []
    for line in first.split(b"\n")[:LOOK_AT]:
        value = _decoded(line)
        if isinstance(value, dict):
            found.append(value)
    return found


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
