"""Infer the JSON Schema of a step's answers: nested types, what is required, what may be null.

A text is an enumeration only where the log makes another value unlikely.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from stepdown.audit.rules import Rules

LONGEST_VALUE = 40  # letters of a value that may be one of an enumeration
MOST_VALUES = 12  # of an enumeration; longer lists are open in practice


def schema_of_answers(answers: Sequence[Any], rules: Rules | None = None) -> dict[str, Any]:
    """Return a JSON Schema that all the answers obey. `answers` are JSON values, at least one."""
    return _schema(answers, rules or Rules())


def _schema(values: Sequence[Any], rules: Rules) -> dict[str, Any]:
    kinds = Counter(_kind(value) for value in values)
    if kinds["integer"] and kinds["number"]:
        kinds["number"] += kinds.pop("integer")
    named = sorted(kinds)
    found: dict[str, Any] = {"type": named[0] if len(named) == 1 else named}
    objects = [value for value in values if isinstance(value, dict)]
    lists = [value for value in values if isinstance(value, list)]
    if objects:
        found |= _object(objects, rules)
    items = [item for value in lists for item in value]
    if items:
        found["items"] = _schema(items, rules)
    if named == ["string"] and (enumerated := _values(values, rules)):
        found["enum"] = enumerated
    return found


def _object(objects: Sequence[dict[str, Any]], rules: Rules) -> dict[str, Any]:
    names = list(dict.fromkeys(name for value in objects for name in value))
    return {
        "properties": {n: _schema([o[n] for o in objects if n in o], rules) for n in names},
        "required": [name for name in names if all(name in value for value in objects)],
        "additionalProperties": False,
    }


def _values(values: Sequence[str], rules: Rules) -> list[str]:
    """Return the values of an enumeration, none where the log leaves the set open (Good, 1953)."""
    counts = Counter(values)
    once = sum(n == 1 for n in counts.values())
    few = len(counts) <= MOST_VALUES and max(map(len, counts)) <= LONGEST_VALUE
    sure = len(values) >= 10 * len(counts) and once <= rules.unseen * len(values)
    return sorted(counts) if few and sure and len(counts) > 1 else []


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
