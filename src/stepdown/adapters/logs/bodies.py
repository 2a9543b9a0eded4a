"""The bodies of a request and of its response, of any of the three wires, where a log keeps both as
values or as JSON inside strings; a body of another kind is left alone.
"""

from __future__ import annotations

from typing import Any

import msgspec

from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.said import unpacked
from stepdown.adapters.logs.wire import WireRequest, WireResponse, processed


def bodies_into(row: Row, request: Any, response: Any) -> None:
    """Write the figures of two bodies into a row."""
    asked = _body(request, WireRequest)
    answered = _body(response, WireResponse)
    if asked is not None:
        asked.into(row)
        row.model = asked.model
    if answered is not None:
        answered.into(row)
        row.at_s = answered.at_s
    tier = None if answered is None else answered.tier
    row.processing = processed(tier, None if asked is None else asked.service_tier)


def _body(value: Any, kind: Any) -> Any:
    found = unpacked(value)
    if not isinstance(found, dict) or not found:
        return None
    return msgspec.json.decode(msgspec.json.encode(found), type=kind)
