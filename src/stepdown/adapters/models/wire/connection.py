"""One keep-alive connection to a server: writes a request, parses the answer with llhttp.

It does not know what is asked. Source: RFC 9112, "HTTP/1.1", sections 6.3 and 9.6.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from stepdown.adapters.models.wire.exchange import (
    BrokenError,
    Exchange,
    GarbledError,
    HttpFailure,
    LateError,
)

HEAD_LIMIT_BYTES = 64 * 1024  # all header lines of one answer together
HEADERS_LIMIT = 256


class Connection(asyncio.Protocol):
    """A connection that carries one exchange at a time.

    `freed` is called when it can carry the next one, `gone` when it never will again.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        freed: Callable[[Connection], None],
        gone: Callable[[Connection], None],
    ) -> None:
        self.freed_at = 0.0
        self.served = 0
        self._loop = loop
        self._freed = freed
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._head_bytes = 0
        self._complete = False
        self._reusable = False
        self._held = False
        self._lengthless = True
        self._deadline: float | None = None
        self._stage = ("", 0.0)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def open(self) -> bool:
        """Whether it can carry an exchange."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes, idle_s: float | None) -> Exchange:
        """Write a request; return its exchange, of which nothing has come yet.

        Raises:
            BrokenError: the connection is gone.
        """
        if self._transport is None:
            raise BrokenError("closed by the server", reused=self.served > 0)
        self._exchange = exchange = Exchange(self, idle_s)
        self._head_bytes = 0
        self._complete = False
        self._lengthless = True
        self._transport.write(request)
        return exchange

    # What the exchange asks.

    def hold(self) -> None:
        """Stop reading from the network."""
        if self._transport is not None:
            self._held = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if self._transport is not None and self._held:
            self._held = False
            self._transport.resume_reading()

    def limit(self, seconds: float | None, stage: str) -> None:
        """Let the present wait last so long. The timer is only moved when it would be late."""
        self._deadline = None if seconds is None else self._loop.time() + seconds
        if self._deadline is None:
            return
        self._stage = (stage, seconds or 0.0)
        if self._timer is None or self._timer_at > self._deadline:
            self._arm(self._deadline)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        """Parse what came; what nobody asked for ends the connection."""
        if self._exchange is None:
            self.abort()
            return
        if not self._exchange.status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
            self._check_head()
        except httptools.HttpParserError as error:
            self._garbled(error.__context__ or error)
        except GarbledError as error:
            self._garbled(error)
        else:
            if self._complete:
                self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange: well only where the end of the connection is the end of the body."""
        exchange, self._exchange, self._transport = self._exchange, None, None
        if self._timer is not None:
            self._timer.cancel()
        if exchange is not None and exchange.status and self._lengthless and exc is None:
            exchange.end()
        elif exchange is not None:
            why = type(exc).__name__ if exc is not None else "closed by the server"
            answering = bool(exchange.status) or self._head_bytes > 0
            exchange.fail(BrokenError(why, answering=answering, reused=self.served > 0))
        self._gone(self)

    # What the parser tells.

    def on_message_begin(self) -> None:
        """Refuse an answer after the answer."""
        if self._complete:
            raise GarbledError("it sent an answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; repeated ones are joined."""
        exchange = self._exchange
        if exchange is None or exchange.status:
            return  # a trailer after a chunked body
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key in ("content-length", "transfer-encoding"):
            self._lengthless = False
        before = exchange.headers.get(key)
        exchange.headers[key] = text if before is None else f"{before}, {text}"
        if len(exchange.headers) > HEADERS_LIMIT:
            raise GarbledError(f"it sent more than {HEADERS_LIMIT} headers")

    def on_headers_complete(self) -> None:
        """Begin the answer; an interim one (RFC 9110, section 15.2) is dropped."""
        exchange, status = self._exchange, self._parser.get_status_code()
        if exchange is None:
            return
        if status >= 200:
            self._lengthless = self._lengthless and status not in (204, 304)
            exchange.start(status)
            return
        if status == 101:
            raise GarbledError("it switched to another protocol")
        exchange.headers.clear()
        self._lengthless = True

    def on_body(self, piece: bytes) -> None:
        """Hand a piece of the body on."""
        if self._exchange is not None:
            self._exchange.add(piece)

    def on_message_complete(self) -> None:
        """Note the end of the answer; the connection is freed when the data is parsed."""
        self._complete = self._exchange is not None and bool(self._exchange.status)
        self._reusable = self._parser.should_keep_alive()  # llhttp forgets it after this

    def _check_head(self) -> None:
        begun = self._exchange is not None and bool(self._exchange.status)
        if not begun and self._head_bytes > HEAD_LIMIT_BYTES:
            raise GarbledError(f"its headers are larger than {HEAD_LIMIT_BYTES} bytes")

    def _finish(self) -> None:
        exchange, self._exchange = self._exchange, None
        self.served += 1
        self._deadline = None
        if self._transport is not None and self._reusable:
            self.go_on()
            self.freed_at = self._loop.time()
            self._freed(self)
        elif self._transport is not None:
            self._transport.close()
        if exchange is not None:
            exchange.end()

    def _garbled(self, error: BaseException) -> None:
        self._failed(error if isinstance(error, HttpFailure) else GarbledError(str(error)))

    def _failed(self, error: HttpFailure) -> None:
        exchange = self._exchange
        self.abort()
        if exchange is not None:
            exchange.fail(error)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        exchange, deadline = self._exchange, self._deadline
        if exchange is None or deadline is None or not exchange.waits:
            return
        if self._loop.time() < deadline - 0.001:
            self._arm(deadline)
        else:
            self._failed(LateError(*self._stage))
