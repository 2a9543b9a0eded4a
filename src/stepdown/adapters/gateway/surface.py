"""What a wire that callers speak must be able to do: read a request, write an answer.

A surface knows its wire's words and nothing of HTTP; the app knows HTTP and no wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from stepdown.adapters.gateway.faults import Fault, Headers
from stepdown.core.call import Call, Reply
from stepdown.core.request import Chunk


class Asking(Struct, frozen=True, kw_only=True):
    """A request as read: the call, and how the answer is to be sent.

    `ignored` names the fields that no tier is told of.
    """

    call: Call
    stream: bool = False
    usage_wanted: bool = False
    ignored: tuple[str, ...] = ()


class Events(Protocol):
    """Writes one answer as the events of a stream; each method returns bytes to send."""

    def begin(self, opening: Reply) -> bytes:
        """Start an answer that follows in pieces."""
        ...

    def piece(self, chunk: Chunk) -> bytes:
        """Add a piece."""
        ...

    def end(self, reply: Reply) -> bytes:
        """End an answer whose pieces were sent."""
        ...

    def whole(self, reply: Reply) -> bytes:
        """Return a whole answer as a stream, from its start to its end."""
        ...

    def broken(self, fault: Fault) -> bytes:
        """Return the event of an error; nothing may follow it."""
        ...


class Surface(Protocol):
    """One wire."""

    def read(self, body: bytes, request_id: str, hints: Mapping[str, str]) -> Asking:
        """Return the request in a body; `hints` are from the headers, and the body's win.

        Raises:
            BadBodyError: not a request of this wire; names the path of what is wrong.
            InputError: a hint with a value that it cannot have.
        """
        ...

    def whole(self, reply: Reply, created: int) -> bytes:
        """Return the body of a whole answer."""
        ...

    def events(self, asking: Asking, created: int) -> Events:
        """Return what writes the answer as a stream."""
        ...

    def fault(self, fault: Fault, request_id: str) -> bytes:
        """Return the body of an error."""
        ...

    def headers(self, request_id: str) -> Headers:
        """Return headers that clients of this wire look for on every answer."""
        ...

    def models(self, names: Sequence[str]) -> bytes:
        """Return the body of the list of models."""
        ...

    def model(self, name: str) -> bytes:
        """Return the body of one model."""
        ...
