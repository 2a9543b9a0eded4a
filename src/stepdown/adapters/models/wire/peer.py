"""The HTTP side of a hosted model: one session, bounded retries, bounded bodies.

It does not know what the bytes mean. Redirects are not followed and proxies of the environment
are not used, so a key goes to the configured host or nowhere. Errors of aiohttp are never chained:
their representation holds the headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

import aiohttp

from stepdown.adapters.models.wire.failures import RefusedError, Translator, read_refusal
from stepdown.adapters.models.wire.settings import WireSettings

REFUSAL_LIMIT_BYTES = 64_000  # a refusal is a sentence; what is longer is a page for a browser

Sleep = Callable[[float], Awaitable[None]]


class Peer:
    """POST to one address with fixed headers."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        tell: Translator,
        settings: WireSettings,
        jitter: Callable[[], float],
        sleep: Sleep,
    ) -> None:
        """Set the peer up; nothing is opened yet.

        Args:
            url: where to post.
            headers: sent with each call; they hold the key, so this object is never printed.
            tell: makes the errors.
            settings: limits and waits.
            jitter: draws in [0, 1).
            sleep: waits that many seconds.
        """
        self._url = url
        self._headers = {"Content-Type": "application/json", **headers}
        self._tell = tell
        self._settings = settings
        self._jitter = jitter
        self._sleep = sleep
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keeper: AsyncGenerator[aiohttp.ClientSession] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def open(self, body: bytes, deadline: float) -> aiohttp.ClientResponse:
        """Return a response with status 200, its body not yet read.

        Args:
            body: the request's JSON.
            deadline: the loop's time after which another try makes no sense.

        Raises:
            RefusedError: any other status, after the retries that it allows.
            ModelError: no connection.
        """
        attempt = 0
        while True:
            try:
                return await self._try(body)
            except _PassingError as failed:
                wait = self._wait_s(attempt, failed.after_s)
                if not self._may_wait(attempt, wait, deadline):
                    raise failed.error from None
            attempt += 1
            await self._sleep(wait)

    async def whole(self, answer: aiohttp.ClientResponse) -> bytes:
        """Return the whole body.

        Raises:
            ModelError: it is larger than the limit, or the connection broke.
        """
        return b"".join([piece async for piece in self.pieces(answer)])

    async def pieces(self, answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
        """Yield the body as it comes, and count it.

        Raises:
            ModelError: it is larger than the limit, or the connection broke.
        """
        left = self._settings.body_limit_bytes
        try:
            async for piece in answer.content.iter_any():
                left -= len(piece)
                if left < 0:
                    raise self._tell.malformed(
                        f"it is larger than {self._settings.body_limit_bytes} bytes"
                    )
                yield piece
        except (aiohttp.ClientError, OSError) as error:
            raise self._tell.unfinished(f"the connection broke ({type(error).__name__})") from None
        finally:
            _let_go(answer)

    async def aclose(self) -> None:
        """Close the session; a later call opens another one."""
        keeper, self._keeper, self._session = self._keeper, None, None
        if keeper is not None:
            await keeper.aclose()

    async def _try(self, body: bytes) -> aiohttp.ClientResponse:
        session = await self._opened()
        try:
            answer = await session.post(
                self._url, data=body, headers=self._headers, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = self._unreachable(error)
        else:
            return await self._accepted(answer)
        # Raised here, outside the `except`, so that not even the context leads to the headers.
        raise failure

    async def _accepted(self, answer: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
        if answer.status == 200:
            return answer
        refusal = read_refusal(answer.status, answer.headers, await self._excerpt(answer))
        refused = RefusedError(refusal)
        raise _PassingError(refused, refusal.after_s) if refusal.passing else refused

    def _unreachable(self, error: Exception) -> Exception:
        """Return what a failure means that came before the first byte of an answer."""
        if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
            return self._tell.unreachable(f"its certificate is not trusted ({error})")
        # Only the kind and the cause: the text of some of aiohttp's errors holds the request.
        cause = error.strerror if isinstance(error, OSError) else None
        told = self._tell.unreachable(cause or type(error).__name__)
        passing = isinstance(error, aiohttp.ClientConnectionError | ConnectionError)
        return _PassingError(told, None) if passing else told

    async def _excerpt(self, answer: aiohttp.ClientResponse) -> bytes:
        found = b""
        try:
            while len(found) < REFUSAL_LIMIT_BYTES:
                piece = await answer.content.readany()
                if not piece:
                    break
                found += piece
        except (aiohttp.ClientError, OSError):
            found = b""  # the status alone says enough
        finally:
            _let_go(answer)
        return found[:REFUSAL_LIMIT_BYTES]

    def _wait_s(self, attempt: int, after_s: float | None) -> float:
        """Return the wait asked for and a doubling one of which half is jitter."""
        backoff: float = self._settings.backoff_s * 2**attempt * (0.5 + 0.5 * self._jitter())
        return (after_s or 0.0) + backoff

    def _may_wait(self, attempt: int, wait: float, deadline: float) -> bool:
        left = deadline - asyncio.get_running_loop().time()
        return attempt < self._settings.retries and wait <= min(left, self._settings.longest_wait_s)

    async def _opened(self) -> aiohttp.ClientSession:
        """Return the session of the running loop; one of another loop is of no use here."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._loop is not loop:
            old, dead = self._keeper, self._loop is not None and self._loop.is_closed()
            self._keeper = _kept_session(self._settings)
            self._session = await anext(self._keeper)  # does not suspend: nobody is in between
            self._loop = loop
            if old is not None and dead:
                await old.aclose()
        return self._session


class _PassingError(Exception):
    """A failure that may pass, with the wait that the server asks for."""

    def __init__(self, error: Exception, after_s: float | None) -> None:
        super().__init__()
        self.error = error
        self.after_s = after_s


def _let_go(answer: aiohttp.ClientResponse) -> None:
    """Keep a connection whose answer was read to its end, close any other."""
    if answer.content.at_eof():
        answer.release()
    else:
        answer.close()


async def _kept_session(settings: WireSettings) -> AsyncGenerator[aiohttp.ClientSession]:
    """Open a session, and close it when the generator ends.

    A loop that shuts down ends its generators first (asyncio.run does), so a session that nobody
    closed still closes its sockets in the loop that they belong to.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=settings.connections, keepalive_timeout=settings.idle_s
        ),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_s),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    try:
        yield session
    finally:
        await session.close()
