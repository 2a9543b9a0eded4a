"""The HTTP side of a hosted model: one pool, one try at a time, bounded bodies.

It does not know what the bytes mean. Redirects are not followed and proxies of the environment
are not used, so a key goes to the configured host or nowhere. Errors of the network are never
chained, so that no error leads to the headers.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from typing import NoReturn
from urllib.parse import urlsplit

from stepdown.adapters.models.wire.exchange import BrokenError, Exchange, HttpFailure, LateError
from stepdown.adapters.models.wire.failures import RefusedError, Translator, read_refusal
from stepdown.adapters.models.wire.pool import Limits, Origin, Pool
from stepdown.adapters.models.wire.retrying import PassingError
from stepdown.adapters.models.wire.settings import WireSettings

REFUSAL_LIMIT_BYTES = 64_000  # a refusal is a sentence; what is longer is a page for a browser


class Peer:
    """POST to one address with fixed headers."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        tell: Translator,
        settings: WireSettings,
    ) -> None:
        """Set the peer up; nothing is opened yet.

        Args:
            url: where to post.
            headers: sent with each call; they hold the key, so this object is never printed.
            tell: makes the errors.
            settings: limits and waits.
        """
        self._origin = Origin.of(url)
        self._head = _head(url, {"Content-Type": "application/json", **headers})
        self._tell = tell
        self._settings = settings
        self._limits = Limits(
            connect_s=settings.connect_s,
            first_byte_s=settings.first_byte_s,
            idle_s=settings.silence_s,
        )
        self._keeper: AsyncGenerator[Pool] | None = None
        self._pool: Pool | None = None

    async def open(self, body: bytes, signature: Mapping[str, str] | None = None) -> Exchange:
        """Return a response with status 200, its body not yet read; one try.

        Args:
            body: the request's bytes.
            signature: headers that belong to this body alone.

        Raises:
            PassingError: it may succeed in a moment.
            RefusedError: any other status.
            ModelError: no connection, or a silent one.
        """
        pool = self._pool
        if pool is None or pool.loop is not asyncio.get_running_loop():
            pool = await self._opened()
        head = self._head if signature is None else _signed(self._head, signature)
        try:
            answer = await pool.send(b"%b%d\r\n\r\n%b" % (head, len(body), body), self._limits)
        except (HttpFailure, OSError) as error:
            failure = self._unreachable(error)
        else:
            if answer.status == 200:
                return answer
            await self._refused(answer)
        # Raised here, outside the `except`, so that not even the context leads to the headers.
        raise failure

    async def whole(self, answer: Exchange) -> bytes:
        """Return the whole body.

        Raises:
            ModelError: it is larger than the limit, or the connection broke.
        """
        found, left = [], self._settings.body_limit_bytes
        try:
            while piece := await answer.read():
                left = self._less(left, piece)
                found.append(piece)
        except HttpFailure as error:
            failure = self._cut(error)
        else:
            return b"".join(found)
        finally:
            answer.close()
        raise failure

    async def pieces(self, answer: Exchange) -> AsyncGenerator[bytes]:
        """Yield the body as it comes, and count it.

        Raises:
            ModelError: it is larger than the limit, or the connection broke.
        """
        left = self._settings.body_limit_bytes
        try:
            while piece := await answer.read():
                left = self._less(left, piece)
                yield piece
        except HttpFailure as error:
            failure = self._cut(error)
        else:
            return
        finally:
            answer.close()
        raise failure

    def _less(self, left: int, piece: bytes) -> int:
        """Return how much more of a body is taken after this piece."""
        left -= len(piece)
        if left < 0:
            most = self._settings.body_limit_bytes
            raise self._tell.malformed(f"it is larger than {most} bytes")
        return left

    async def aclose(self) -> None:
        """Close the connections; a later call opens others."""
        keeper, self._keeper, self._pool = self._keeper, None, None
        if keeper is not None:
            await keeper.aclose()

    async def _refused(self, answer: Exchange) -> NoReturn:
        """Raise what a status other than 200 means."""
        refusal = read_refusal(answer.status, answer.headers, await self._excerpt(answer))
        refused = RefusedError(refusal)
        if not refusal.passing:
            raise refused
        raise PassingError(refused, refusal.after_s, free=refusal.free)

    def _unreachable(self, error: Exception) -> Exception:
        """Return what a failure means that came before the first byte of an answer."""
        if isinstance(error, LateError) and error.stage == "first_byte":
            return self._tell.silent(error.limit_s, begun=False)
        # Before a connection stood nothing was sent, so nothing can have been paid.
        unsent = isinstance(error, LateError | OSError)
        if isinstance(error, ssl.SSLError):
            return self._tell.unreachable(_untrusted(error)).noting(free=unsent)
        told = self._tell.unreachable(_cause(error)).noting(free=unsent)
        passing = isinstance(error, BrokenError | LateError | ConnectionError)
        return PassingError(told, None, free=unsent) if passing else told

    def _cut(self, error: HttpFailure) -> Exception:
        """Return what a failure means that came after the first byte of an answer."""
        if isinstance(error, LateError):
            return self._tell.silent(error.limit_s, begun=True)
        if isinstance(error, BrokenError):
            return self._tell.unfinished(f"the connection broke ({error})")
        return self._tell.malformed(str(error))

    async def _excerpt(self, answer: Exchange) -> bytes:
        found = b""
        try:
            while len(found) < REFUSAL_LIMIT_BYTES and (piece := await answer.read()):
                found += piece
        except HttpFailure:
            found = b""  # the status alone says enough
        finally:
            answer.close()
        return found[:REFUSAL_LIMIT_BYTES]

    async def _opened(self) -> Pool:
        """Open the pool of the running loop; one of another loop is of no use here."""
        self._keeper = _kept_pool(self._origin, self._settings)
        self._pool = pool = await anext(self._keeper)  # does not suspend: nobody is in between
        return pool


def _head(url: str, headers: Mapping[str, str]) -> bytes:
    """Return everything of a request up to the length of its body."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    own = {"Host": parts.netloc, "User-Agent": "stepdown", "Accept-Encoding": "identity"}
    lines = [f"POST {path} HTTP/1.1", *(f"{n}: {v}" for n, v in {**own, **headers}.items())]
    return ("\r\n".join(lines) + "\r\nContent-Length: ").encode("ascii")


def _signed(head: bytes, signature: Mapping[str, str]) -> bytes:
    """Return the head of a request with more headers in it."""
    start, _, length = head.rpartition(b"\r\n")
    more = "".join(f"\r\n{name}: {value}" for name, value in signature.items())
    return start + more.encode("ascii") + b"\r\n" + length


def _untrusted(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    return f"TLS failed ({error.reason or type(error).__name__})"


def _cause(error: Exception) -> str:
    """Say why there is no answer: the system's own words where there are some."""
    if isinstance(error, HttpFailure):
        return str(error)
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


async def _kept_pool(origin: Origin, settings: WireSettings) -> AsyncGenerator[Pool]:
    """Open a pool, and close it when the generator ends.

    A loop that shuts down ends its generators first (asyncio.run does), so a pool that nobody
    closed still closes its sockets in the loop that they belong to.
    """
    pool = Pool(origin, most=settings.connections, kept_s=settings.idle_s)
    try:
        yield pool
    finally:
        pool.close()
        await asyncio.sleep(0)  # transports close in the loop's next round
