"""Whether a value obeys a JSON Schema (draft 2020-12 unless it names another).

The one module of core beside `replay_array` that uses a library: every driver reads answers by
`core.requesting`, and an answer outside its schema is no answer. It fetches nothing: a reference
to another document is an error of the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

SHOWN = 160  # characters of what the validator says


def schema_problem(schema: Mapping[str, Any]) -> str:
    """Return what is wrong with a schema itself, nothing when it can be used."""
    import jsonschema_rs

    try:
        _validator(_bytes(schema))
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        return _short(str(error).partition("\n")[0])
    return ""


def violation(schema: Mapping[str, Any], value: object) -> str:
    """Return where and how a value breaks a schema, nothing when it obeys it."""
    try:
        first = next(iter(_validator(_bytes(schema)).iter_errors(value)), None)
    except (ValueError, RecursionError, OverflowError) as error:
        return _short(str(error))
    if first is None:
        return ""
    steps = [f"[{at}]" if isinstance(at, int) else f".{at}" for at in first.instance_path]
    place = "".join(steps)
    return _short(f"at {place.lstrip('.')}: {first.message}" if place else first.message)


@lru_cache(maxsize=256)
def _validator(encoded: bytes) -> Any:  # the library names no type for its validators
    import jsonschema_rs

    return jsonschema_rs.validator_for(msgspec.json.decode(encoded), retriever=_refuse)


def _refuse(uri: str) -> Any:
    raise ValueError(f"a schema may not refer to another document: {uri}")


def _bytes(schema: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(schema, order="sorted")


def _short(text: str) -> str:
    squeezed = " ".join(text.split())
    return squeezed if len(squeezed) <= SHOWN else squeezed[: SHOWN - 1] + "…"
