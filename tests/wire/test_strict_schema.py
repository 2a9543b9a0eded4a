"""A schema is sent as strict only where a strict server would take it."""

from __future__ import annotations

from typing import Any

import pytest

from stepdown.adapters.models.wire.chat_request import chat_options
from stepdown.core.request import Request

CLOSED = {
    "type": "object",
    "properties": {"a": {"type": ["string", "null"]}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "properties": {"a": CLOSED}}, True),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": CLOSED}}}, True),
        ({**CLOSED, "required": []}, False),
        ({"type": "object", "properties": {}}, False),
        ({**CLOSED, "properties": {"a": {"type": ["object", "null"]}}}, False),
        ({**CLOSED, "properties": {"a": {"anyOf": [{"type": "object"}]}}}, False),
    ],
)
def test_only_closed_objects_are_strict(schema: dict[str, Any], strict: bool) -> None:
    sent = chat_options(Request(id="r", task="t", input="x", schema=schema))
    assert sent["response_format"]["json_schema"]["strict"] is strict
