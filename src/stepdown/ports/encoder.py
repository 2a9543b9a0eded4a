"""The Encoder port: texts in, unit vectors out; a TokenEncoder tells word pieces apart too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from msgspec import Struct

if TYPE_CHECKING:
    from numpy import float32, intp
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


class PieceVectors(Struct, frozen=True, eq=False):
    """The word pieces of one text: the character each begins at, (pieces,), and its vector."""

    starts: NDArray[intp]
    vectors: NDArray[float32]


@runtime_checkable
class TokenEncoder(Encoder, Protocol):
    """An encoder that tells its word pieces apart."""

    @property
    def piece_dim(self) -> int:
        """Length of the vector of a word piece."""
        ...

    @property
    def piece_digest(self) -> str:
        """Digest of the encoder and of the way long texts are cut for it."""
        ...

    @property
    def contextual(self) -> bool:
        """Whether the vector of a piece depends on what stands around it."""
        ...

    def embed_pieces(self, text: str) -> PieceVectors:
        """Return the vectors of all word pieces of a text, however long it is."""
        ...
