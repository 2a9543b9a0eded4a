"""Whether a text has the shape that a caller asked the answer to have."""

from __future__ import annotations

import msgspec

from stepdown.core.asked import Format


def breach(shape: Format, text: str) -> str:
    """Return how a text breaks a shape, nothing when it obeys it."""
    if shape.kind == "text":
        return ""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return "it is no JSON"
    if shape.kind == "json_object":
        return "" if isinstance(value, dict) else "it is no JSON object"
    from stepdown.core.json_schema import violation

    return violation(shape.schema or {}, value)
