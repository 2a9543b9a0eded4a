"""One answer of an HTTP server as it arrives: status, headers, pieces of the body.

It does not know sockets: a connection feeds it, and it asks the connection to hold back when its
reader is slow. How a wait may end is drawn here:

    HttpFailure
        BrokenError     the connection broke; `answering` says whether an answer had begun
        GarbledError    not HTTP, or headers or framing that nobody should accept
        LateError       a wait took longer than its limit; `stage` says which
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Protocol

PIECE_BYTES = 256 * 1024  # the most that is held for a slow reader, and unpacked at one go


class HttpFailure(Exception):
    """An exchange that did not come to its end."""


class BrokenError(HttpFailure):
    """The connection broke. `reused` tells that it had served another call before."""

    def __init__(self, why: str, *, answering: bool = False, reused: bool = False) -> None:
        super().__init__(why)
        self.answering = answering
        self.reused = reused


class GarbledError(HttpFailure):
    """The peer does not speak HTTP as it must."""


class LateError(HttpFailure, TimeoutError):
    """A wait was too long: `connect`, `first_byte` or `idle`."""

    def __init__(self, stage: str, limit_s: float) -> None:
        super().__init__(f"{stage} took longer than {limit_s:g} s")
        self.stage = stage
        self.limit_s = limit_s


class Line(Protocol):
    """What an exchange asks of its connection."""

    def hold(self) -> None:
        """Stop reading from the network."""
        ...

    def go_on(self) -> None:
        """Read again."""
        ...

    def limit(self, seconds: float | None, stage: str) -> None:
        """Let the present wait last so long."""
        ...

    def abort(self) -> None:
        """Drop the connection at once."""
        ...


class Exchange:
    """A call under way. Read it to its end, or close it: then its connection is free or gone."""

    __slots__ = (
        "_error",
        "_held",
        "_idle_s",
        "_line",
        "_pieces",
        "_size",
        "_unpack",
        "_waiter",
        "ended",
        "headers",
        "status",
    )

    def __init__(self, line: Line, idle_s: float | None) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = False
        self._line = line
        self._idle_s = idle_s
        self._pieces: list[bytes] = []
        self._size = 0
        self._held = False
        self._error: HttpFailure | None = None
        self._unpack: _Unpacking | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def begun(self, first_byte_s: float | None) -> None:
        """Wait for status and headers.

        Raises:
            HttpFailure: they did not come.
        """
        if not self.status and self._error is None:
            await self._wait(first_byte_s, "first_byte")
        if self._error is not None and not self.status:
            raise self._error

    async def read(self) -> bytes:
        """Return the next piece of the body, b"" at its end.

        Raises:
            HttpFailure: the body did not come to its end.
        """
        while True:
            piece = await self._raw()
            if self._unpack is None:
                return piece
            if unpacked := self._unpack.take(piece):
                return unpacked
            if not piece:
                self._unpack.check_end()
                return b""

    def close(self) -> None:
        """Drop the connection unless the answer has come to its end."""
        if not self.ended and self._error is None:
            self.fail(BrokenError("closed by us", answering=bool(self.status)))
            self._line.abort()
        self._pieces.clear()

    # What the connection tells.

    def start(self, status: int) -> None:
        """Status and headers are there."""
        self.status = status
        packed = self.headers.get("content-encoding", "identity").lower()
        if packed in ("gzip", "x-gzip", "deflate"):
            self._unpack = _Unpacking()
        elif packed != "identity":
            raise GarbledError(f"its body is packed as {packed[:40]!r}, which was not asked for")
        self._wake()

    def add(self, piece: bytes) -> None:
        """Take a piece of the body in."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= PIECE_BYTES and not self._held:
            self._held = True
            self._line.hold()
        if self._waiter is not None:  # one read of the network may bring fifty pieces
            self._wake()

    def end(self) -> None:
        """The body is complete."""
        self.ended = True
        self._wake()

    def fail(self, error: HttpFailure) -> None:
        """The answer will not come to its end; what came before can still be read."""
        if not self.ended and self._error is None:
            self._error = error
            self._wake()

    @property
    def waits(self) -> bool:
        """Whether somebody waits for the network."""
        return self._waiter is not None

    async def _raw(self) -> bytes:
        while not self._pieces:
            if self._unpack is not None and self._unpack.rest:
                return b""
            if self.ended:
                return b""
            if self._error is not None:
                raise self._error
            await self._wait(self._idle_s, "idle")
        found = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._held:
            self._held = False
            if not self.ended:
                self._line.go_on()
        return found

    async def _wait(self, limit_s: float | None, stage: str) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        self._line.limit(limit_s, stage)
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Unpacking:
    """Unpack gzip or deflate piece by piece, so that a small body cannot become a large one."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
        self.rest = b""

    def take(self, piece: bytes) -> bytes:
        """Return the next unpacked bytes; b"" asks for more, `rest` waits for its turn."""
        try:
            made = self._zlib.decompress(self.rest + piece, PIECE_BYTES)
        except zlib.error as error:
            raise GarbledError(f"its packed body cannot be unpacked ({error})") from None
        self.rest = self._zlib.unconsumed_tail
        return made

    def check_end(self) -> None:
        """Refuse a packed body that was cut."""
        if not self._zlib.eof:
            raise BrokenError("its packed body was cut", answering=True)
