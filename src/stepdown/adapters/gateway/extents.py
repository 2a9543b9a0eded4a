"""How much one request may hold, whatever the size of its body in bytes.

Tools, stop sequences and alternatives are limited as OpenAI's own reference limits them (2026-11);
the others keep what one request costs the gateway within what its size suggests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stepdown.adapters.gateway.faults import BadBodyError
from stepdown.core.asked import Tool
from stepdown.core.json_schema import schema_problem

MOST_TOOLS = 128
MOST_STOPS = 4
MOST_STOP_SEQUENCES = 64
MOST_TOP_LOGPROBS = 20
MOST_MESSAGES = 2048
MOST_PARTS = 1024
MOST_CHOICES = 8
MOST_TEXTS = 2048
LONGEST_STOP = 1000
DEEPEST_SCHEMA = 40


def check_tools(tools: Iterable[Tool], place: str) -> None:
    """Refuse parameters that are no schema, and two tools of one name; `place` holds `{}`.

    Raises:
        BadBodyError: names the tool.
    """
    seen = set()
    for number, tool in enumerate(tools):
        where = place.format(number)
        if tool.name in seen:
            raise BadBodyError(f"two tools are named {tool.name[:80]!r}.", where)
        seen.add(tool.name)
        if tool.parameters:
            check_schema(tool.parameters, where)


def check_schema(schema: Mapping[str, Any], where: str) -> None:
    """Refuse what is no JSON Schema, or nests too deeply.

    Raises:
        BadBodyError: names the place.
    """
    if _depth(schema, DEEPEST_SCHEMA) > DEEPEST_SCHEMA:
        raise BadBodyError(f"the schema nests deeper than {DEEPEST_SCHEMA} levels.", where)
    if wrong := schema_problem(schema):
        raise BadBodyError(f"this is no JSON Schema: {wrong}", where)


def _depth(value: Any, most: int) -> int:
    """Return how deep a value nests, or `most` + 1 as soon as it is more than that."""
    level, depth = [value], 0
    while level and depth <= most:
        nested = (_inside(one) for one in level)
        level = [one for inner in nested for one in inner]
        depth += 1
    return depth


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [one for one in value.values() if isinstance(one, (Mapping, list))]
    if isinstance(value, list):
        return [one for one in value if isinstance(one, (Mapping, list))]
    return ()
