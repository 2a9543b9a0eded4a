"""One request and its response, as an ASGI application sees them: scope, receive, send.

It does not parse and does not own the connection. Source: ASGI specification 3.0, HTTP 2.3.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

from stepdown.adapters.gateway.hanging_up import HANG_UP

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_BODILESS = frozenset({204, 304})
_log = logging.getLogger("stepdown.gateway")


class Line(Protocol):
    """What a response asks of its connection."""

    def write(self, data: bytes, *, last: bool = False) -> None:
        """Send bytes; after the last ones of a response nothing is waited for."""
        ...

    @property
    def blocked(self) -> bool:
        """Whether the caller takes less than it is given."""
        ...

    async def unblocked(self) -> None:
        """Wait until it takes more, or is gone."""
        ...

    def hold(self) -> None:
        """Stop reading."""
        ...

    def go_on(self) -> None:
        """Read again."""
        ...

    def finished(self, exchange: Exchange) -> None:
        """The response is complete, or will never be (`Exchange.broken`)."""
        ...


class Exchange:
    """A request under way. The connection feeds it; the application answers through it."""

    __slots__ = (
        "_chunked",
        "_expects",
        "_gone",
        "_headers",
        "_held",
        "_held_bytes",
        "_left",
        "_line",
        "_more",
        "_pieces",
        "_size",
        "_status",
        "_waiter",
        "answered",
        "begun",
        "broken",
        "gone",
        "keep_alive",
        "scope",
    )

    def __init__(
        self, line: Line, scope: Scope, *, keep_alive: bool, expects: bool, held_bytes: int
    ) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.begun = False
        self.answered = False
        self.broken = False
        self.gone = False
        self._line = line
        self._gone: Callable[[], None] | None = None
        scope["extensions"] = {HANG_UP: self.on_hang_up}
        self._expects = expects
        self._held_bytes = held_bytes
        self._held = False
        self._more = True
        self._pieces: list[bytes] = []
        self._size = 0
        self._status = 0
        self._headers: Iterable[tuple[bytes, bytes]] = ()
        self._chunked = False
        self._left: int | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def whole(self) -> bool:
        """Whether the request's body came to its end."""
        return not self._more

    async def run(self, app: App) -> None:
        """Let the application answer; what it leaves unfinished ends the connection."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:  # noqa: BLE001 the edge: one request must not end the server
            _log.exception("the application failed")
        finally:
            self.scope.pop("extensions", None)  # it leads back here: a ring is freed late
            if not self.answered:
                self.broken = True
                self._line.finished(self)

    async def receive(self) -> MutableMapping[str, Any]:
        """Return the next event of the request."""
        if self._expects and self._more and not self.begun:
            self._expects = False
            self._line.write(b"HTTP/1.1 100 Continue\r\n\r\n", last=True)
        while not (self.gone or self.answered or self._pieces is _READ):
            if self._pieces or not self._more:
                return self._body()
            await self._wait()
        while not (self.gone or self.answered):
            await self._wait()
        return {"type": "http.disconnect"}

    async def send(self, event: MutableMapping[str, Any]) -> None:
        """Take the next event of the response. Without a caller nothing is sent."""
        if event["type"] == "http.response.start":
            self._status, self._headers = event["status"], event.get("headers", ())
            return
        if self.gone or self.answered:
            return
        self._write(event.get("body", b""), more=event.get("more_body", False))
        if self._line.blocked and not self.answered:
            await self._line.unblocked()

    def on_hang_up(self, call: Callable[[], None] | None) -> None:
        """Call this, and nothing else, when the caller hangs up."""
        self._gone = call
        if self.gone and call is not None:
            call()

    # What the connection tells.

    def add(self, piece: bytes) -> None:
        """Take a piece of the body in; hold the caller back when nobody reads it."""
        if self._pieces is _READ or self.answered:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= self._held_bytes and not self._held:
            self._held = True
            self._line.hold()
        self._wake()

    def end(self) -> None:
        """The body is complete."""
        self._more = False
        self._wake()

    def lose(self) -> None:
        """The caller hung up."""
        self.gone = True
        if self._gone is not None:
            self._gone()
        self._wake()

    def _body(self) -> MutableMapping[str, Any]:
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._size = 0
        if self._more:
            pieces.clear()
        else:
            self._pieces = _READ
        if self._held:
            self._held = False
            self._line.go_on()
        return {"type": "http.request", "body": body, "more_body": self._more}

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _write(self, body: bytes, *, more: bool) -> None:
        head = b"" if self.begun else self._begin(len(body), more=more)
        if self.scope["method"] == "HEAD" or self._status in _BODILESS:
            body = b""
        elif self._chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body)) if body else b""
            body = body if more else body + b"0\r\n\r\n"
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise ValueError("the body is not as long as its content-length")
        if head or body or not more:
            self._line.write(head + body, last=not more)
        if not more:
            self.answered = True
            self._wake()
            self._line.finished(self)

    def _begin(self, length: int, *, more: bool) -> bytes:
        """Return status line and headers; decide how the end of the body will be seen."""
        lines = [b"date: " + _date()]
        for name, value in self._headers:
            lines.append(b"%b: %b" % (name, value))
            if name.lower() == b"content-length":
                self._left = int(value)
        if self._left is None and self._status not in _BODILESS:
            lines += self._framing(length, more=more)
        if not self.keep_alive or self._more:
            self.keep_alive = False
            lines.append(b"connection: close")
        text = b"\r\n".join(lines)
        if text.count(b"\n") != len(lines) - 1 or text.count(b"\r") != len(lines) - 1:
            raise ValueError("a header of the response holds a line break")
        self.begun = True
        return _LINES[self._status] + text + b"\r\n\r\n"

    def _framing(self, length: int, *, more: bool) -> list[bytes]:
        if not more:
            self._left = length
            return [b"content-length: %d" % length]
        if self.scope["http_version"] == "1.0":
            self.keep_alive = False  # such a caller sees the end by the end of the connection
            return []
        self._chunked = True
        return [b"transfer-encoding: chunked"]


_READ: list[bytes] = []  # stands for a body that was read to its end
_dated: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    """Return the present as RFC 9110, section 5.6.7, writes it; made once a second."""
    global _dated  # noqa: PLW0603 a cache of one value
    now = int(time.time())
    if _dated[0] != now:
        _dated = now, time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now)).encode()
    return _dated[1]
