"""The Anthropic messages wire as a surface: `POST /v1/messages`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepdown.adapters.gateway.answers import encode
from stepdown.adapters.gateway.faults import Fault, Headers
from stepdown.adapters.gateway.messages_reply import MessagesEvents, fault_body, message_body
from stepdown.adapters.gateway.messages_request import read_messages
from stepdown.adapters.gateway.surface import Asking
from stepdown.core.call import Reply

_UNKNOWN_DATE = "1970-01-01T00:00:00Z"  # how the wire's own document writes that nobody knows


class MessagesSurface:
    """Read messages requests, write messages and their events."""

    def read(self, body: bytes, request_id: str, hints: Mapping[str, str]) -> Asking:
        """Return the request in a body."""
        return read_messages(body, request_id, hints)

    def whole(self, reply: Reply, created: int) -> bytes:
        """Return the body of a whole answer."""
        return message_body(reply)

    def events(self, asking: Asking, created: int) -> MessagesEvents:
        """Return what writes the answer as a stream."""
        return MessagesEvents(asking.call.id)

    def fault(self, fault: Fault, request_id: str) -> bytes:
        """Return the body of an error."""
        return encode(fault_body(fault, request_id))

    def headers(self, request_id: str) -> Headers:
        """Return the id where clients of this wire look for it."""
        return ((b"request-id", request_id.encode()),)

    def models(self, names: Sequence[str]) -> bytes:
        """Return the list of models, on one page."""
        listed = [_model(name) for name in names]
        ends = {"first_id": names[0], "last_id": names[-1]} if names else {}
        return encode({"data": listed, "has_more": False, **ends})

    def model(self, name: str) -> bytes:
        """Return one model."""
        return encode(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": _UNKNOWN_DATE}
