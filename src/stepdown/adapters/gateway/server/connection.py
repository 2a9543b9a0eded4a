"""One connection of a caller: llhttp parses, an ASGI application answers, limits hold.

It knows no routes. Sources: RFC 9112, section 9; RFC 9110, section 10.1.1.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Protocol, cast

import httptools

from stepdown.adapters.gateway.server.exchange import Exchange
from stepdown.adapters.gateway.server.framing import (
    Address,
    Pair,
    Refused,
    check,
    head_of,
    is_to_go_on,
    refusal,
    scope_of,
)
from stepdown.adapters.gateway.server.limits import ServerLimits

_AT_ONCE_BYTES = 16 * 1024


class House(Protocol):
    """What a connection asks of its server. `now_s` is the time to the second."""

    limits: ServerLimits
    now_s: float
    draining: bool

    def work(self, exchange: Exchange) -> asyncio.Task[None]:
        """Let the application answer."""
        ...

    def came(self, connection: HttpConnection) -> bool:
        """Take a connection in, or say that there is no room."""
        ...

    def left(self, connection: HttpConnection) -> None:
        """Forget a connection."""
        ...


class HttpConnection(asyncio.Protocol):
    """Requests of one connection, answered one after the other.

    `deadline_s` is when the server drops it, in the time of the house.
    """

    def __init__(self, house: House, loop: asyncio.AbstractEventLoop) -> None:
        self.deadline_s = math.inf
        self._house = house
        self._limits = house.limits
        self._loop = loop
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Exchange] = deque()
        self._reading: Exchange | None = None
        self._in_head = False
        self._head_bytes = 0
        self._url = b""
        self._headers: list[Pair] = []
        self._said_bytes = 0
        self._framing_bytes = 0
        self._lingering = False
        self._held = False
        self._peer: Address = None
        self._own: Address = None
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._blocked = False
        self._unsent = 0
        self._drain: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self._queue)

    # What the server asks.

    def drain(self) -> None:
        """Close when the requests under way are answered; half a request is let in."""
        for exchange in self._queue:
            exchange.keep_alive = False
        if not self.busy and not self._in_head:
            self._transport.close()

    def drop(self) -> None:
        """End at once, whatever is under way."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def overdue(self) -> None:
        """End with a caller who is too slow; one whose request is half there is told so."""
        if self._blocked and self._moved():
            self.deadline_s = self._house.now_s + self._limits.stalled_s
        elif self.busy or self._blocked or self._lingering or self._transport.is_closing():
            self._transport.abort()
        elif self._in_head:
            self._refuse(Refused(408, "the request's headers took too long"))
        else:
            self._transport.close()

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._limits.held_bytes)
        self._peer = transport.get_extra_info("peername")
        self._own = transport.get_extra_info("sockname")
        if self._house.came(self):
            self.deadline_s = self._house.now_s + self._limits.idle_s
        else:
            self._refuse(Refused(503, "there are too many connections; try again"))

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._lingering:
            return
        if self._in_head:
            self._head_bytes += len(data)
        self._framing_bytes += len(data)  # a piece of the body sets it back
        try:
            self._parser.feed_data(data)
            if self._in_head and self._head_bytes > self._limits.head_bytes:
                raise Refused(431, f"the headers are larger than {self._limits.head_bytes} bytes")
            if self._reading is not None and self._framing_bytes > self._limits.head_bytes:
                raise Refused(431, "what stands around the body is larger than any headers may be")
        except httptools.HttpParserUpgrade as wish:
            self._without_upgrade(data[wish.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Refused) else Refused(400, str(error)))
        except Refused as refused:
            self._refuse(refused)

    def eof_received(self) -> None:
        """A caller who closes its side wants no answer any more."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever is at work."""
        self._house.left(self)
        self._out, self._out_bytes = [], 0
        self.deadline_s = math.inf
        self.resume_writing()
        for exchange in self._queue:
            exchange.lose()

    def pause_writing(self) -> None:
        """The caller does not take what it is given."""
        self._blocked = True
        self._unsent = self._transport.get_write_buffer_size()
        self.deadline_s = self._house.now_s + self._limits.stalled_s

    def resume_writing(self) -> None:
        """It takes more."""
        self._blocked = False
        if self.busy:
            self.deadline_s = math.inf
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)

    # What a response asks.

    @property
    def blocked(self) -> bool:
        """Whether the caller takes less than it is given."""
        return self._blocked

    async def unblocked(self) -> None:
        """Wait until it takes more, or is gone."""
        self._drain = self._loop.create_future()
        await self._drain

    def write(self, data: bytes, *, last: bool = False) -> None:
        """Send bytes: at once the last ones and many, otherwise with what else this round brings.

        A burst of small pieces is one call of the system, and not one for each.
        """
        self._out.append(data)
        self._out_bytes += len(data)
        if last or self._out_bytes >= _AT_ONCE_BYTES:
            self._flush()
        elif len(self._out) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out, self._out_bytes = [], 0
            self._transport.write(data)

    def hold(self) -> None:
        """Stop reading."""
        if not self._held and not self._lingering:
            self._held = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if self._held:
            self._held = False
            self._transport.resume_reading()

    def finished(self, exchange: Exchange) -> None:
        """Go on with the next request, or close."""
        self._task = None
        if exchange.gone or self._transport.is_closing():
            return
        if exchange.broken:
            self._break(exchange)
            return
        self._queue.popleft()
        if not exchange.keep_alive or self._house.draining or self._lingering:
            self._close(exchange)
        elif self._queue:
            self._start()
        else:
            self.deadline_s = self._house.now_s + self._limits.idle_s
            self.go_on()

    # What the parser tells.

    def on_message_begin(self) -> None:
        """Begin a request."""
        if len(self._queue) > self._limits.pipelined:
            raise Refused(400, f"more than {self._limits.pipelined} requests in a row")
        self._in_head = True
        self._head_bytes = 1  # what came with the end of the request before is not counted
        self._url = b""
        self._headers = []
        self._said_bytes = 0
        if not self._queue:
            self.deadline_s = self._house.now_s + self._limits.head_s

    def on_url(self, url: bytes) -> None:
        """Take in a part of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; drop a trailer, which no proxy before us has seen as a header.

        Source: RFC 9110, section 6.5.1: a trailer is not merged into the headers.
        """
        if not self._in_head:
            return
        value = value.strip(b" \t")
        self._headers.append((name.lower(), value))
        self._said_bytes += len(name) + len(value) + len(": \r\n")
        if len(self._headers) > self._limits.headers:
            raise Refused(431, f"more than {self._limits.headers} headers")

    def on_headers_complete(self) -> None:
        """Check the request and let the application begin."""
        self._in_head = False
        if self._said_bytes + len(self._url) > self._limits.head_bytes:
            raise Refused(431, f"the headers are larger than {self._limits.head_bytes} bytes")
        version, parser = self._parser.get_http_version(), self._parser
        method = parser.get_method().decode("ascii")
        said = dict(self._headers)
        check(version, method, self._headers, said)
        if parser.should_upgrade():
            return  # it comes again, without the wish
        self._reading = exchange = Exchange(
            self,
            scope_of(version, method, self._url, self._headers, (self._peer, self._own)),
            keep_alive=parser.should_keep_alive() and not self._house.draining,
            expects=b"expect" in said and is_to_go_on(version, self._headers),
            held_bytes=self._limits.held_bytes,
        )
        self._queue.append(exchange)
        if len(self._queue) == 1:
            self.deadline_s = self._house.now_s + self._limits.body_s
            self._start()

    def on_body(self, piece: bytes) -> None:
        """Hand a piece of the body on."""
        self._framing_bytes = 0
        if self._reading is not None:
            self._reading.add(piece)

    def on_message_complete(self) -> None:
        """End the request; while it is answered nothing more is read than came with it."""
        exchange, self._reading = self._reading, None
        if exchange is None:
            return
        exchange.end()
        if len(self._queue) == 1:
            self.deadline_s = math.inf
        if exchange is not self._queue[0]:
            self.hold()

    def _start(self) -> None:
        exchange = self._queue[0]
        if exchange.whole:
            self.deadline_s = math.inf
        self._task = self._house.work(exchange)

    def _without_upgrade(self, rest: bytes) -> None:
        """Read the request again as if no other protocol had been asked for.

        A server may ignore the wish (RFC 9110, section 7.8), but the parser stops at it, before
        the body. Java's client sends it with every first request.
        """
        head = head_of(self._parser.get_method(), self._url, self._headers, leave_out=b"upgrade")
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    def _moved(self) -> bool:
        before, self._unsent = self._unsent, self._transport.get_write_buffer_size()
        return self._unsent < before

    def _no_more(self) -> None:
        self._lingering = True
        for exchange in self._queue:
            exchange.keep_alive = False

    def _break(self, exchange: Exchange) -> None:
        if exchange.begun:
            self._transport.abort()
        else:
            self._queue.clear()
            self._reading = None
            self._refuse(Refused(500, "the gateway failed"))

    def _close(self, exchange: Exchange) -> None:
        """Close; while more is still coming, read and drop it, or the caller sees a reset."""
        more = bool(self._queue) or self._lingering or not exchange.whole
        self._queue.clear()
        self.deadline_s = self._house.now_s + self._limits.stalled_s
        if more:
            self._linger()
        else:
            self._transport.close()

    def _linger(self) -> None:
        self.go_on()
        self._lingering = True
        self.deadline_s = self._house.now_s + self._limits.linger_s
        self._transport.write_eof()

    def _refuse(self, refused: Refused) -> None:
        """Say what is wrong and close; the answers before it are waited for first."""
        broken, self._reading = self._reading, None
        if broken is not None:
            broken.lose()
        if broken is not None and (broken is not self._queue[0] or broken.begun):
            self._transport.abort()
        elif self.busy and broken is None:
            self._no_more()
        else:
            self._queue.clear()
            self._transport.write(refusal(refused))
            self._linger()
