"""An embedder as a model: the answer to an input is its vector, as JSON text.

So an eval asks it, keeps what it said and measures it like any other tier.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import msgspec

from stepdown.core.digest import digest
from stepdown.core.request import Capabilities, Chunk, Completion, Request
from stepdown.ports.embedder import Embedder

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray


class EmbeddingModel:
    """Answer with the vector of `prefix` and the bare input. It polishes nothing."""

    def __init__(self, embedder: Embedder, prefix: str = "") -> None:
        self._embedder = embedder
        self._prefix = prefix

    @property
    def digest(self) -> str:
        """Digest of the embedder, and of the prefix where there is one."""
        own = self._embedder.digest
        return digest([own, self._prefix]) if self._prefix else own

    @property
    def capabilities(self) -> Capabilities:
        """It embeds, and nothing else."""
        return Capabilities(polish=False)

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Return the vector of the bare input; raises as the embedder does."""
        done = await self._embedder.embed([self._prefix + request.input], timeout_s=timeout_s)
        return Completion(
            text=vector_text(done.vectors[0]),
            usage=done.usage,
            latency_s=done.latency_s,
            model=done.model,
        )

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        """Yield the vector as one chunk."""
        done = await self.complete(request, timeout_s=timeout_s)
        yield Chunk(text=done.text, completion=done)

    async def aclose(self) -> None:
        """Nothing of its own to let go of: the embedder is shared."""


def vector_text(vector: NDArray[float32]) -> str:
    """Return a vector as JSON, each number with the digits that float32 needs."""
    return msgspec.json.encode([float(str(number)) for number in vector]).decode()
