"""Training texts as one block of numbers: tokens, hashed features, vectors; cut into parts by text.

It knows no fields.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from stepdown.ports.encoder import TokenEncoder
from stepdown.train.extractor.candidates import Spans
from stepdown.train.extractor.dense import token_vectors
from stepdown.train.extractor.hashing import features
from stepdown.train.extractor.model import MAX_FEATURES, sparse
from stepdown.train.extractor.spans import Rows
from stepdown.train.extractor.tokens import Tokens, tokenise

if TYPE_CHECKING:
    from numpy import bool_, float32, intp, uint32
    from numpy.typing import NDArray

Told = Callable[[int, int], None]


class Corpus(Struct, frozen=True, eq=False):
    """Texts with a token or more. `hashed` is a sparse matrix (tokens, known features).

    `bounds` (texts + 1,) are the tokens between which each text lies.
    """

    tokens: tuple[Tokens, ...]
    known: "NDArray[uint32]"
    hashed: Any
    dense: "NDArray[float32]"
    bounds: "NDArray[intp]"

    def part(
        self,
        texts: "NDArray[intp]",
        spans: Sequence[Spans],
        gold: "Sequence[NDArray[bool_]]",
        absent: "NDArray[bool_]",
    ) -> Rows:
        """Return the rows to fit of some texts; the other arguments are of all texts."""
        lengths = np.diff(self.bounds)[texts]
        taken = _ranges(self.bounds[texts], lengths)
        moved = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        first = [spans[at].first + by for at, by in zip(texts, moved, strict=True)]
        last = [spans[at].last + by for at, by in zip(texts, moved, strict=True)]
        counts = np.array([len(spans[at]) for at in texts])
        return Rows(
            self.hashed[taken],
            self.dense[taken],
            Spans(np.concatenate(first), np.concatenate(last)),
            np.concatenate([[0], np.cumsum(counts)]),
            np.concatenate([gold[at] for at in texts]),
            absent[texts],
        )


def _ranges(starts: "NDArray[intp]", lengths: "NDArray[intp]") -> "NDArray[intp]":
    """Return the numbers of several ranges, one after the other."""
    parts = [np.arange(start, start + size) for start, size in zip(starts, lengths, strict=True)]
    found: NDArray[intp] = np.concatenate(parts).astype(np.intp)
    return found


def read_corpus(
    texts: Sequence[str], encoder: TokenEncoder, max_features: int, told: Told | None = None
) -> Corpus:
    """Return the numbers of texts; hashed features that occur in two or more texts are known."""
    tokens, seen, vectors = [], [], []
    for number, text in enumerate(texts):
        tokens.append(tokenise(text))
        seen.append(features(tokens[-1]))
        vectors.append(token_vectors(tokens[-1], encoder))
        if told is not None:
            told(number + 1, len(texts))
    known = _known(seen, min(max_features, MAX_FEATURES))
    bounds = np.cumsum([0, *map(len, tokens)], dtype=np.intp)
    return Corpus(
        tuple(tokens), known, sparse(np.concatenate(seen), known), np.concatenate(vectors), bounds
    )


def _known(seen: "Sequence[NDArray[uint32]]", at_most: int) -> "NDArray[uint32]":
    """Return the features of two or more texts, ascending; the commonest where there are many."""
    every = np.concatenate([np.unique(one) for one in seen])
    values, counts = np.unique(every, return_counts=True)
    often = (counts > 1) & (values > 0)
    values, counts = values[often], counts[often]
    if len(values) > at_most:
        values = np.sort(values[np.argsort(-counts, kind="stable")[:at_most]])
    return values.astype(np.uint32)
