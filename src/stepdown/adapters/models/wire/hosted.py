"""A hosted model as a Model: what both wires share. The format of the bodies is an argument.

A parameter that the model refuses by name is left out from then on: reasoning models take no
temperature, and some give no log-probabilities (which are then unknown, not zero).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from functools import partial
from random import SystemRandom
from typing import Any, Protocol, TypeVar

import msgspec

from stepdown.adapters.models.wire.address import Key, host_of
from stepdown.adapters.models.wire.deadlines import Deadlines
from stepdown.adapters.models.wire.exchange import Exchange
from stepdown.adapters.models.wire.failures import Refusal, RefusedError, Said, Translator, said_in
from stepdown.adapters.models.wire.peer import Peer
from stepdown.adapters.models.wire.retrying import Retrying, Sleep, Tries
from stepdown.adapters.models.wire.settings import WireSettings
from stepdown.core.digest import digest
from stepdown.core.request import Capabilities, Chunk, Completion, Request
from stepdown.errors import ModelError

T = TypeVar("T")
Sign = Callable[[str, bytes], Awaitable[Mapping[str, str]]]


class MalformedError(Exception):
    """A body is not what the wire's document says."""


class ReportedError(Exception):
    """A body that came with success reports an error."""

    def __init__(self, error: Said | str) -> None:
        super().__init__()
        said = said_in(error)
        # OpenRouter puts the status into `code`; 200 stands for "none given".
        status = said.code if isinstance(said.code, int) else 200
        self.refusal = Refusal(status=status, said=said, reported=True)


class Reading(Protocol):
    """Collects the events of one stream."""

    @property
    def done(self) -> bool:
        """Whether the wire's last event came."""
        ...

    def take(self, event: bytes) -> Chunk | None:
        """Take one event in; return what it adds to the answer."""
        ...

    def completion(self) -> Completion:
        """Return the whole answer."""
        ...


class Parser(Protocol):
    """Cuts the bytes of a stream into events."""

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the events that this piece completes, in order."""
        ...


class Format(Protocol):
    """How a wire writes requests and answers."""

    @property
    def droppable(self) -> frozenset[str]:
        """Parameters without which the request still asks for the same."""
        ...

    def body(self, request: Request, refused: frozenset[str], *, stream: bool) -> dict[str, Any]:
        """Return the body of a request without the parameters that the model refused."""
        ...

    def read(self, data: bytes, request: Request) -> Completion:
        """Return the answer in a whole body."""
        ...

    def reading(self, request: Request) -> Reading:
        """Return a fresh collector of a stream."""
        ...

    def parser(self) -> Parser:
        """Return a fresh cutter of a stream into events."""
        ...


class HostedModel:
    """Answer by asking a server.

    The digest covers provider, address, model name and parameters. A hosted model has no file:
    a vendor may change the weights behind a name and the digest stays; `Completion.model` is what
    the server says it ran. `latency_s` is what the caller waited, retries included.
    """

    keeps_time = True

    def __init__(
        self,
        *,
        model: str,
        url: str,
        key: Key,
        headers: dict[str, str],
        form: Format,
        decides: list[object],
        capabilities: Capabilities,
        stream_url: str | None = None,
        sign: Sign | None = None,
        settings: WireSettings | None = None,
        clock: Callable[[], float] = time.perf_counter,
        jitter: Callable[[], float] = SystemRandom().random,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Keep the parts; `decides` lists what goes into the digest.

        `stream_url` is where streams are asked for, if elsewhere. `sign` makes the headers that
        belong to one body sent to one address.
        """
        self._model = model
        self._form = form
        self._settings = settings or WireSettings()
        self._clock = clock
        self._capabilities = capabilities
        self._refused: frozenset[str] = frozenset()
        self._digest = digest(decides)
        self._tell = Translator(model, host_of(url), key)
        self._url, self._stream_url, self._sign = url, stream_url or url, sign
        self._peer = Peer(url, headers, self._tell, self._settings)
        self._stream_peer = self._peer
        if stream_url is not None:
            self._stream_peer = Peer(stream_url, headers, self._tell, self._settings)
        self._retrying = Retrying(self._settings, jitter, sleep)
        self._deadlines: Deadlines | None = None

    def __repr__(self) -> str:
        """Return the model and its host, never the key."""
        return f"{type(self).__name__}({self._tell.where})"

    @property
    def digest(self) -> str:
        """Digest of provider, address, model name and parameters; there is no file."""
        return self._digest

    @property
    def capabilities(self) -> Capabilities:
        """What the wire offers, less what the model refused so far."""
        if "logprobs" in self._refused:
            return msgspec.structs.replace(self._capabilities, logprobs=False)
        return self._capabilities

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Answer in one piece.

        Raises:
            Unavailable: no such model, a request that is too long, an account without money.
            Overloaded: still full after the retries.
            TimedOut: no answer within `timeout_s` seconds, retries included.
            ModelError: anything else, such as a key that is not accepted.
        """
        start, tries = self._clock(), Tries()
        limit = self._settings.timeout_s if timeout_s is None else timeout_s
        try:
            data = await self._whole(request, limit, tries)
            done = self._checked(partial(self._form.read, data, request))
        except ModelError as error:
            _note_tries(error, tries)
            raise
        return self._timed(done, start, None, tries)

    async def _whole(self, request: Request, limit: float, tries: Tries) -> bytes:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        if self._deadlines is None or self._deadlines.loop is not loop:
            self._deadlines = Deadlines(loop)
        try:
            with self._deadlines.at(deadline):
                answer = await self._send(request, deadline, tries, stream=False)
                return await self._peer.whole(answer)
        except TimeoutError:
            raise self._tell.late(limit) from None

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        """Answer in pieces; the last chunk carries the completion.

        Raises:
            ModelError: as for `complete`, or the stream ended before the wire's last event.
        """
        start, tries = self._clock(), Tries()
        limit = self._settings.timeout_s if timeout_s is None else timeout_s
        first: float | None = None
        reading = self._form.reading(request)
        with self._counted(tries):
            parser = self._form.parser()
            async with aclosing(self._pieces(request, limit, tries)) as pieces:
                async for piece in pieces:
                    found, error = self._taken(parser, reading, piece)
                    for chunk in joined(found):
                        if first is None and chunk.adds:
                            first = self._clock() - start
                        yield chunk
                    if error is not None:
                        raise error
                    if reading.done:
                        break
            if not reading.done:
                raise self._tell.unfinished("the stream ended before its last event")
            done = self._checked(reading.completion)
        yield Chunk(completion=self._timed(done, start, first, tries))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._peer.aclose()
        await self._stream_peer.aclose()

    @contextmanager
    def _counted(self, tries: Tries) -> Iterator[None]:
        try:
            yield
        except ModelError as error:
            _note_tries(error, tries)
            raise

    def _taken(
        self, parser: Parser, reading: Reading, piece: bytes
    ) -> tuple[list[Chunk], ModelError | None]:
        """Return what the events add that came together, and what was wrong with the next one."""
        found: list[Chunk] = []
        try:
            self._checked(partial(_take_all, parser, reading, piece, found))
        except ModelError as error:
            return found, error
        return found, None

    async def _pieces(self, request: Request, limit: float, tries: Tries) -> AsyncGenerator[bytes]:
        """Yield the body as it comes; each wait for the server ends at the same deadline."""
        deadline = asyncio.get_running_loop().time() + limit
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._send(request, deadline, tries, stream=True)
            async with aclosing(_until(self._stream_peer.pieces(answer), deadline)) as pieces:
                async for piece in pieces:
                    yield piece
        except TimeoutError:
            raise self._tell.late(limit) from None

    async def _send(
        self, request: Request, deadline: float, tries: Tries, *, stream: bool
    ) -> Exchange:
        """Return the open response; leave out, one after the other, what the model refuses."""
        while True:
            body = self._form.body(request, self._refused, stream=stream)
            once = partial(self._once, msgspec.json.encode(body), stream=stream)
            try:
                return await self._retrying.run(once, deadline, tries)
            except RefusedError as error:
                named = error.refusal.refused(self._form.droppable & body.keys())
                if not named:
                    raise self._tell.error(error.refusal) from None
                self._refused |= named

    async def _once(self, body: bytes, *, stream: bool) -> Exchange:
        peer, url = (self._stream_peer, self._stream_url) if stream else (self._peer, self._url)
        return await peer.open(body, None if self._sign is None else await self._sign(url, body))

    def _checked(self, read: Callable[[], T]) -> T:
        """Return what `read` returns, its errors translated."""
        try:
            return read()
        except ReportedError as error:
            told: ModelError = self._tell.error(error.refusal)
        except (MalformedError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            told = self._tell.malformed(str(error))
        raise told from None

    def _timed(
        self, done: Completion, start: float, first_token_s: float | None, tries: Tries
    ) -> Completion:
        return msgspec.structs.replace(
            done,
            model=done.model or self._model,
            latency_s=self._clock() - start,
            first_token_s=first_token_s,
            retries=tries.again,
            unpriced=tries.unpriced,
        )


def _take_all(parser: Parser, reading: Reading, piece: bytes, found: list[Chunk]) -> None:
    for event in parser.feed(piece):
        chunk = reading.take(event)
        if chunk is not None:
            found.append(chunk)
        if reading.done:
            return


def joined(chunks: list[Chunk]) -> Iterator[Chunk]:
    """Yield the chunks that came together, those of bare text in a row as one."""
    texts: list[str] = []
    for chunk in chunks:
        if _is_bare(chunk):
            texts.append(chunk.text)
            continue
        if texts:
            yield _as_one(texts)
            texts = []
        yield chunk
    if texts:
        yield _as_one(texts)


def _as_one(texts: list[str]) -> Chunk:
    return Chunk(text="".join(texts), texts=tuple(texts) if len(texts) > 1 else ())


def _is_bare(chunk: Chunk) -> bool:
    """Say whether a chunk is text and nothing else."""
    if chunk.tools or chunk.logprobs:
        return False
    return chunk.finish_reason is None and chunk.usage is None


def _note_tries(error: ModelError, tries: Tries) -> None:
    """Say in an error how often it was tried, and whether nothing can have been paid."""
    error.noting(retries=tries.again, free=error.free and not tries.unpriced)


async def _until(pieces: AsyncGenerator[bytes], deadline: float) -> AsyncGenerator[bytes]:
    """Yield pieces; the wait for one is bounded, the time that the caller takes over it is not."""
    async with aclosing(pieces):
        while True:
            async with asyncio.timeout_at(deadline):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece
