"""Keep-alive connections to one server: how many, how long kept, plain or TLS.

It does not know what is asked. Proxies of the environment are not used.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from stepdown.adapters.models.wire.connection import Connection
from stepdown.adapters.models.wire.exchange import BrokenError, Exchange, LateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohappyeyeballs import AddrInfoType

_SECOND_ADDRESS_S = 0.25  # RFC 8305, section 8: the recommended delay between two attempts


class Limits(Struct, frozen=True, kw_only=True):
    """How long each wait of one call may last, in seconds; None waits for ever.

    `first_byte_s` runs from the sent request to the headers of the answer, `idle_s` from one piece
    of the body to the next. The whole call is bounded by whoever makes it.
    """

    connect_s: float | None = 10.0
    first_byte_s: float | None = None
    idle_s: float | None = None


class Origin(Struct, frozen=True):
    """Where a server listens."""

    host: str
    port: int
    tls: bool

    @classmethod
    def of(cls, url: str) -> Origin:
        """Return the origin of an http or https address."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        return cls(parts.hostname or "", parts.port or (443 if tls else 80), tls)


class Pool:
    """At most `most` connections to an origin, each kept `kept_s` seconds after its last use."""

    def __init__(self, origin: Origin, *, most: int, kept_s: float) -> None:
        self._origin = origin
        self._most = most
        self._kept_s = kept_s
        self._loop = asyncio.get_running_loop()
        self._all: set[Connection] = set()
        self._opening = 0
        self._idle: list[Connection] = []
        self._queue: deque[asyncio.Future[Connection | None]] = deque()
        self._reaper: asyncio.TimerHandle | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the connections belong to."""
        return self._loop

    @property
    def waiting(self) -> int:
        """Calls that wait for a free connection."""
        return len(self._queue)

    async def send(self, request: bytes, limits: Limits) -> Exchange:
        """Send a whole request; return its exchange when status and headers are there.

        A kept connection that the server closed before it answered says nothing about this call,
        so the call is sent once more on a new one (RFC 9110, section 9.2.2, allows it where the
        server cannot have answered: not a byte came).

        Raises:
            HttpFailure: it broke, spoke no HTTP, or took longer than `limits`.
            OSError: no connection (`ssl.SSLError` when TLS fails).
        """
        connection = self._kept() or await self._take(limits.connect_s, fresh=False)
        exchange = connection.send(request, limits.idle_s)
        try:
            await exchange.begun(limits.first_byte_s)
        except BrokenError as broken:
            if not broken.reused or broken.answering:
                raise
        else:
            return exchange
        connection = await self._take(limits.connect_s, fresh=True)
        exchange = connection.send(request, limits.idle_s)
        await exchange.begun(limits.first_byte_s)
        return exchange

    def close(self) -> None:
        """Drop every connection; those who wait for one are told."""
        if self._reaper is not None:
            self._reaper.cancel()
        for waiter in self._queue:
            waiter.cancel()
        for connection in [*self._all]:
            connection.abort()
        self._idle.clear()

    async def _take(self, connect_s: float | None, *, fresh: bool) -> Connection:
        while True:
            if not fresh and (kept := self._kept()) is not None:
                return kept
            if fresh and self._idle and self._full:
                self._idle.pop(0).abort()  # makes room, and is as stale as the one that failed
            if not self._full:
                return await self._opened(connect_s)
            if (handed := await self._handed()) is not None and handed.open:
                return handed

    @property
    def _full(self) -> bool:
        return len(self._all) + self._opening >= self._most

    def _kept(self) -> Connection | None:
        """The connection used last is the one that the server is least likely to have dropped."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open and self._loop.time() - connection.freed_at < self._kept_s:
                return connection
            connection.abort()
        return None

    async def _handed(self) -> Connection | None:
        """Wait in line for a connection, or for the room to open one (None)."""
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._queue.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._pass_on(waiter.result())
            else:
                self._forget(waiter)
            raise

    def _forget(self, waiter: asyncio.Future[Connection | None]) -> None:
        if waiter in self._queue:
            self._queue.remove(waiter)

    async def _opened(self, connect_s: float | None) -> Connection:
        self._opening += 1
        try:
            async with asyncio.timeout(connect_s):
                connection = await self._connect()
        except TimeoutError:
            raise LateError("connect", connect_s or 0.0) from None
        finally:
            self._opening -= 1
            if self._queue and not self._full:
                self._pass_on(None)
        return connection

    async def _connect(self) -> Connection:
        origin = self._origin
        line = await _reached(self._loop, origin)
        tls = _trusted() if origin.tls else None
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop, self._free, self._lost),
                sock=line,
                ssl=tls,
                server_hostname=origin.host if tls else None,
            )
        except BaseException:
            line.close()
            raise
        self._all.add(connection)
        return connection

    def _free(self, connection: Connection) -> None:
        self._pass_on(connection)

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._queue and not self._full:
            self._pass_on(None)

    def _pass_on(self, connection: Connection | None) -> None:
        """Give a connection, or the room for one, to whoever waits longest."""
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is not None and connection.open:
            self._idle.append(connection)
            if self._reaper is None:
                self._reaper = self._loop.call_later(self._kept_s, self._reap)

    def _reap(self) -> None:
        """Drop what was not used for too long; a busy server keeps its pool small by itself."""
        self._reaper = None
        now = self._loop.time()
        old = [c for c in self._idle if now - c.freed_at >= self._kept_s]
        for connection in old:
            self._idle.remove(connection)
            connection.abort()
        if self._idle:
            left = self._kept_s - (now - self._idle[0].freed_at)
            self._reaper = self._loop.call_later(max(left, 0.05), self._reap)


async def _reached(loop: asyncio.AbstractEventLoop, origin: Origin) -> socket.socket:
    """Return a connected socket; a second address does not wait for a first that is silent."""
    import aiohappyeyeballs

    found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    line = await aiohappyeyeballs.start_connection(
        _unique(found), happy_eyeballs_delay=_SECOND_ADDRESS_S, interleave=1, loop=loop
    )
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def _unique(found: Sequence[AddrInfoType]) -> list[AddrInfoType]:
    return list(dict.fromkeys(found))


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities that this machine trusts; SSL_CERT_FILE names others, as OpenSSL reads it."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
