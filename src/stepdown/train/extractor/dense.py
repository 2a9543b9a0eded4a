"""The encoder's vectors of word pieces, brought to the extractor's tokens."""

from typing import TYPE_CHECKING

import numpy as np

from stepdown.ports.encoder import TokenEncoder
from stepdown.train.extractor.tokens import Tokens

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

RECIPE = "unit-sum-times-3, window 4+5/1"
"""Changes when the vectors change: an extractor of another recipe is refused."""
SCALE = np.float32(3.0)
"""Weight of a vector beside about fifty hashed features of 1. Not tuned."""
_BEFORE, _AFTER = 4, 5


def dense_dim(encoder: TokenEncoder) -> int:
    """Return the length of the vectors that `token_vectors` gives."""
    return encoder.piece_dim * (1 if encoder.contextual else 2)


def token_vectors(tokens: Tokens, encoder: TokenEncoder) -> "NDArray[float32]":
    """Return a vector for each token, shape (tokens, dense_dim).

    An encoder whose pieces know nothing of their neighbours gets the mean of those around beside.
    """
    own = _summed(tokens, encoder)
    if encoder.contextual:
        return SCALE * own
    return SCALE * np.hstack([own, _unit(_around(own))])


def _summed(tokens: Tokens, encoder: TokenEncoder) -> "NDArray[float32]":
    """Add up the pieces that begin inside each token, scaled to length 1."""
    out = np.zeros((len(tokens), encoder.piece_dim), dtype=np.float32)
    found = encoder.embed_pieces(tokens.text)
    owner = np.searchsorted(tokens.starts, found.starts, side="right") - 1
    inside = owner >= 0
    np.add.at(out, owner[inside], found.vectors[inside])
    return _unit(out)


def _around(vectors: "NDArray[float32]") -> "NDArray[float32]":
    """Return the sum of each vector with those up to four before and four after it."""
    total = np.zeros((len(vectors) + 1, vectors.shape[1]))
    np.cumsum(vectors, axis=0, out=total[1:])
    every = np.arange(len(vectors))
    until, since = np.minimum(every + _AFTER, len(vectors)), np.maximum(every - _BEFORE, 0)
    summed: NDArray[float32] = (total[until] - total[since]).astype(np.float32)
    return summed


def _unit(vectors: "NDArray[float32]") -> "NDArray[float32]":
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[float32] = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
    return scaled
