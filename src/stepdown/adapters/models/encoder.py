"""A local encoder as a tier for embed tasks: the static one that ships, or MiniLM."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from stepdown.core.request import Usage
from stepdown.errors import TimedOut, Unavailable
from stepdown.ports.embedder import Embeddings
from stepdown.ports.encoder import Encoder

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

# What the static encoder reads in about a millisecond (0.1 ms a text, see its module); a batch
# that takes longer would keep every other caller waiting.
AT_ONCE_CHARACTERS = 2000
NO_TOKENS = Usage(input_tokens=0, output_tokens=0)  # its price is by the hour


class EncoderEmbedder:
    """Embed in this process. `in_thread` keeps a slow encoder off the event loop.

    A fast one stays on it for a few short texts only: a batch goes to a thread as well.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        in_thread: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._encoder = encoder
        self._in_thread = in_thread
        self._clock = clock

    @property
    def digest(self) -> str:
        """Digest of the encoder: weights, vocabulary, pooling."""
        return self._encoder.digest

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._encoder.dim

    async def embed(self, texts: Sequence[str], *, timeout_s: float | None = None) -> Embeddings:
        """Return one vector for each text.

        Raises:
            Unavailable: a text is empty.
            TimedOut: a slow encoder was not done in time.
        """
        refuse_empty(texts, self._encoder.name)
        start = self._clock()
        vectors = await self._vectors(texts, timeout_s)
        waited_s = self._clock() - start
        return Embeddings(
            vectors=vectors, usage=NO_TOKENS, latency_s=waited_s, model=self._encoder.name
        )

    async def aclose(self) -> None:
        """Nothing to let go of."""

    async def _vectors(self, texts: Sequence[str], timeout_s: float | None) -> NDArray[float32]:
        if not self._in_thread and sum(map(len, texts)) <= AT_ONCE_CHARACTERS:
            return self._encoder.embed(texts)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.to_thread(self._encoder.embed, texts)
        except TimeoutError:
            raise TimedOut(
                f"{self._encoder.name} did not embed {len(texts)} texts within {timeout_s:g} s."
            ) from None


def refuse_empty(texts: Sequence[str], name: str) -> None:
    """Refuse an empty text: its vector would mean nothing, and hosted models take none.

    Raises:
        Unavailable: names the text by its place.
    """
    for place, text in enumerate(texts):
        if not text.strip():
            raise Unavailable(
                f"Text {place + 1} of {len(texts)} is empty; {name!r} cannot embed it.",
                "Leave empty texts out.",
            )
