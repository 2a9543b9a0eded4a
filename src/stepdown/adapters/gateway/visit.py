"""One HTTP request as the routes see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from msgspec import Struct

from stepdown.adapters.gateway.answers import JSON, Answer
from stepdown.adapters.gateway.faults import Fault, Headers
from stepdown.adapters.gateway.hanging_up import Subscribe
from stepdown.adapters.gateway.surface import Surface
from stepdown.core.caller_span import HEADER

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_HINT = b"x-stepdown-"
_CALLER = HEADER.encode()


class Visit(Struct, frozen=True, kw_only=True):
    """A request under way. `surface` is the wire that its sender speaks."""

    id: str
    path: str
    method: str
    headers: Mapping[bytes, bytes]
    receive: Receive
    send: Send
    surface: Surface
    on_hang_up: Subscribe | None = None
    query: bytes = b""

    @property
    def hints(self) -> dict[str, str]:
        """The `x-stepdown-NAME` headers as metadata: `x-stepdown-message-id` is `message_id`.

        Beside them the caller's `traceparent`, under its own name.
        """
        found = {
            name.removeprefix(_HINT).decode("latin-1").replace("-", "_"): value.decode("latin-1")
            for name, value in self.headers.items()
            if name.startswith(_HINT) and len(name) > len(_HINT)
        }
        if _CALLER in self.headers:
            found[HEADER] = self.headers[_CALLER].decode("latin-1")
        return found

    @property
    def own(self) -> Headers:
        """The headers that every answer to this request has."""
        return ((b"x-request-id", self.id.encode()), *self.surface.headers(self.id))

    def fault(self, fault: Fault) -> Answer:
        """Return an error in the words of the wire."""
        body = self.surface.fault(fault, self.id)
        return Answer(fault.status, body, JSON + fault.headers)

    async def reply(self, answer: Answer) -> None:
        """Send a whole answer."""
        size = (b"content-length", str(len(answer.body)).encode())
        headers = (*answer.headers, *self.own, size)
        start = {"type": "http.response.start", "status": answer.status, "headers": headers}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": answer.body})


class RefusedError(Exception):
    """A request is answered with a fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


# What answers a request; None says that the answer was sent already, as a stream.
Route = Callable[[Visit], Awaitable[Answer | None]]
