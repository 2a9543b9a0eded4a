"""The Embedder port: texts in, vectors and what they cost out, from a local file or a hosted model.

An `Encoder` is a local function that heads read; an Embedder is a tier that answers an embed task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stepdown.core.request import Usage

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Vectors of some texts in their order: float32, shape (texts, dimensions).

    `usage` is of the whole call; `latency_s` what the caller waited, retries included.
    """

    vectors: NDArray[float32]
    usage: Usage
    latency_s: float | None = None
    model: str = ""


class Embedder(Protocol):
    """Turn texts into vectors of one length; vectors of two embedders never mix.

    Implementations translate their own errors into `errors.ModelError`.
    """

    @property
    def digest(self) -> str:
        """Digest of everything that decides a vector: file or model name, dimensions, prefixes."""
        ...

    @property
    def dimensions(self) -> int | None:
        """Length of a vector, None where only the first answer tells."""
        ...

    async def embed(self, texts: Sequence[str], *, timeout_s: float | None = None) -> Embeddings:
        """Return one vector for each text, in their order.

        Raises:
            Unavailable: an empty text, a text that is too long, no such model.
            Overloaded: still full after the retries.
            TimedOut: not done within `timeout_s` seconds.
            ModelError: anything else, such as vectors of another length than asked for.
        """
        ...

    async def aclose(self) -> None:
        """Let go of files, threads and sockets."""
        ...
