"""The Encoder port: texts in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray


class Encoder(Protocol):
    """Turn texts into vectors of one length; vectors of two encoders never mix."""

    @property
    def name(self) -> str:
        """Name in the configuration, such as `static-minilm-256`."""
        ...

    @property
    def digest(self) -> str:
        """Digest of the weights and of the way they are read."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[float32]:
        """Return an array of shape (len(texts), dim)."""
        ...
