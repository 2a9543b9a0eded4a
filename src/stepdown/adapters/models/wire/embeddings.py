"""The OpenAI embeddings wire as a tier: OpenAI, and servers that speak it (vLLM, llama.cpp, TEI).

Source: OpenAI API reference, "Create embeddings", 2026-11.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import SystemRandom
from typing import Any

import msgspec

from stepdown.adapters.models.encoder import refuse_empty
from stepdown.adapters.models.wire.address import Key, checked_base, host_of
from stepdown.adapters.models.wire.embeddings_answer import Vectors, read_vectors
from stepdown.adapters.models.wire.failures import RefusedError, Translator
from stepdown.adapters.models.wire.hosted import MalformedError, ReportedError
from stepdown.adapters.models.wire.openai import DEFAULT_BASE
from stepdown.adapters.models.wire.peer import Peer
from stepdown.adapters.models.wire.retrying import Retrying, Sleep, Tries
from stepdown.adapters.models.wire.settings import WireSettings
from stepdown.core.digest import digest
from stepdown.core.request import Usage
from stepdown.errors import ModelError
from stepdown.ports.embedder import Embeddings

# Source: "Create embeddings": an array of at most 2,048 inputs, 300,000 tokens over all inputs. A
# text has no more tokens than bytes, so that a batch within the bytes is within the tokens.
MOST_TEXTS = 2048
MOST_BYTES = 300_000

# Without base64 the answer is larger and means the same. A length is never dropped: vectors of
# another length would be another tier.
DROPPABLE = frozenset({"encoding_format"})


class OpenAIEmbedder:
    """Embed through `{base_url}/embeddings`, in as few calls as the wire's limits allow.

    A hosted model has no file, so its digest covers provider, address, model name and dimensions.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str = DEFAULT_BASE,
        api_key: str,
        api_key_env: str = "OPENAI_API_KEY",
        dimensions: int | None = None,
        most_texts: int = MOST_TEXTS,
        settings: WireSettings | None = None,
        clock: Callable[[], float] = time.perf_counter,
        jitter: Callable[[], float] = SystemRandom().random,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Keep the address and the key; nothing is opened before the first call.

        Args:
            model: name of the model on the server.
            base_url: up to and without `/embeddings`.
            api_key: the key; empty for a server that wants none.
            api_key_env: the variable that the key is from, for messages.
            dimensions: length of the vectors to ask for; None for the model's own.
            most_texts: texts in one call, 1 or more.
            settings: limits, waits and retries.
            clock: seconds, for the latency.
            jitter: draws in [0, 1) that spread retries.
            sleep: waits between tries.

        Raises:
            ConfigError: an address or a key that no request can carry.
        """
        base, key = checked_base(base_url), Key(api_key, api_key_env)
        url = f"{base}/embeddings"
        headers = {"Authorization": f"Bearer {key.reveal()}"} if key else {}
        self._model, self._asked, self._found = model, dimensions, dimensions
        self._most_texts = most_texts
        self._settings = settings or WireSettings()
        self._clock = clock
        self._refused: frozenset[str] = frozenset()
        self._digest = digest(["openai-embeddings", base, model, {"dimensions": dimensions}])
        self._tell = Translator(model, host_of(url), key)
        self._peer = Peer(url, headers, self._tell, self._settings)
        self._retrying = Retrying(self._settings, jitter, sleep)

    def __repr__(self) -> str:
        """Return the model and its host, never the key."""
        return f"{type(self).__name__}({self._tell.where})"

    @property
    def digest(self) -> str:
        """Digest of provider, address, model name and dimensions; there is no file."""
        return self._digest

    @property
    def dimensions(self) -> int | None:
        """Length of a vector: as asked for, or as the first answer had it."""
        return self._found

    async def embed(self, texts: Sequence[str], *, timeout_s: float | None = None) -> Embeddings:
        """Return one vector for each text, in their order; raises as the port says."""
        import numpy as np

        refuse_empty(texts, self._model)
        start = self._clock()
        limit = self._settings.timeout_s if timeout_s is None else timeout_s
        deadline = asyncio.get_running_loop().time() + limit
        try:
            async with asyncio.timeout_at(deadline):
                parts = [await self._batch(batch, deadline) for batch in self._batches(texts)]
        except TimeoutError:
            raise self._tell.late(limit) from None
        rows: list[Any] = [row for part in parts for row in part.rows]
        width = self._found or 0
        return Embeddings(
            vectors=np.stack(rows) if rows else np.empty((0, width), dtype=np.float32),
            usage=_sum(parts),
            latency_s=self._clock() - start,
            model=next((part.model for part in parts if part.model), self._model),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._peer.aclose()

    def _batches(self, texts: Sequence[str]) -> Iterator[Sequence[str]]:
        start, size = 0, 0
        for place, text in enumerate(texts):
            size += len(text.encode())
            if place > start and (size > MOST_BYTES or place - start >= self._most_texts):
                yield texts[start:place]
                start, size = place, len(text.encode())
        if start < len(texts):
            yield texts[start:]

    async def _batch(self, texts: Sequence[str], deadline: float) -> Vectors:
        data = await self._posted(texts, deadline)
        try:
            found, self._found = read_vectors(data, len(texts), self._found)
        except ReportedError as error:
            told: ModelError = self._tell.error(error.refusal)
        except (MalformedError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            told = self._tell.malformed(str(error))
        else:
            return found
        raise told

    async def _posted(self, texts: Sequence[str], deadline: float) -> bytes:
        """Return the body of an answer; leave out what the server refuses by name."""
        while True:
            body = self._body(texts)
            once = partial(self._peer.open, msgspec.json.encode(body))
            try:
                answer = await self._retrying.run(once, deadline, Tries())
                return await self._peer.whole(answer)
            except RefusedError as error:
                named = error.refusal.refused(DROPPABLE & body.keys())
                if not named:
                    raise self._tell.error(error.refusal) from None
                self._refused |= named

    def _body(self, texts: Sequence[str]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self._model, "input": list(texts)}
        if "encoding_format" not in self._refused:
            body["encoding_format"] = "base64"
        if self._asked is not None:
            body["dimensions"] = self._asked
        return body


def _sum(parts: Sequence[Vectors]) -> Usage:
    """Return the tokens of all calls; unknown as soon as one of them did not say."""
    counts = [part.usage.input_tokens for part in parts]
    known = [count for count in counts if count is not None]
    whole = sum(known) if len(known) == len(counts) else None
    return Usage(input_tokens=whole, output_tokens=0)
