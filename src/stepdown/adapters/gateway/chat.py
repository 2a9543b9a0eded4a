"""The OpenAI chat wire as a surface: `POST /v1/chat/completions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepdown.adapters.gateway.answers import encode
from stepdown.adapters.gateway.chat_reply import ChatEvents, chat_body, fault_body
from stepdown.adapters.gateway.chat_request import read_chat
from stepdown.adapters.gateway.faults import Fault, Headers
from stepdown.adapters.gateway.surface import Asking
from stepdown.core.call import Reply


class ChatSurface:
    """Read chat requests, write chat completions and chunks."""

    def read(self, body: bytes, request_id: str, hints: Mapping[str, str]) -> Asking:
        """Return the request in a body."""
        return read_chat(body, request_id, hints)

    def whole(self, reply: Reply, created: int) -> bytes:
        """Return the body of a whole answer."""
        return chat_body(reply, created)

    def events(self, asking: Asking, created: int) -> ChatEvents:
        """Return what writes the answer as a stream."""
        return ChatEvents(created, usage_wanted=asking.usage_wanted)

    def fault(self, fault: Fault, request_id: str) -> bytes:
        """Return the body of an error."""
        return encode(fault_body(fault))

    def headers(self, request_id: str) -> Headers:
        """Nothing more than what every answer has."""
        return ()

    def models(self, names: Sequence[str]) -> bytes:
        """Return the list of models."""
        return encode({"object": "list", "data": [_model(name) for name in names]})

    def model(self, name: str) -> bytes:
        """Return one model."""
        return encode(_model(name))


def _model(name: str) -> dict[str, Any]:
    """Return one model; nobody knows when a task was created, so it says 0."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "stepdown"}
