"""Word and character n-grams of a text as a short dense vector, beside the sentence embedding.

It knows texts only: no labels, no encoders, no files.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from numpy import float16, float32, float64, intp
    from numpy.typing import NDArray

MAX_GRAMS = 16_384
MAX_DIM = 384
_MAX_LETTERS = 64
_SIZES = (3, 4, 5)
# No n-gram of letters can hold a tab, since white space is squeezed: it marks those of words.
_WORD = "\t"
_WORDS = re.compile(r"\w+")
_DENSE_ROWS = 2000
_BLOCK = 512  # texts weighed at once
_KEPT = 65_536  # tokens whose n-grams are remembered


class Lexicon(Struct, frozen=True, eq=False, dict=True):
    """N-grams, their rarity `idf` (grams,) and the projection (grams, dim) to a few numbers.

    N-grams of words (1 and 2) and of letters within words (3 to 5) are two blocks: in each the
    weights (1 + ln count) * idf have length 1, so that long texts do not weigh more.
    """

    grams: tuple[str, ...]
    idf: "NDArray[float32]"
    projection: "NDArray[float16]"

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit the n-grams or exceed the limits, and freeze them."""
        grams, dim = len(self.grams), self.projection.shape[-1]
        if not 0 < grams <= MAX_GRAMS or len(set(self.grams)) != grams:
            raise ValueError(f"a lexicon has 1 to {MAX_GRAMS} different n-grams, not {grams}")
        if self.idf.shape != (grams,) or self.projection.shape != (grams, dim):
            raise ValueError(f"idf or projection does not fit {grams} n-grams")
        if not 0 < dim <= MAX_DIM or max(map(len, self.grams)) > _MAX_LETTERS:
            raise ValueError(f"at most {MAX_DIM} numbers, and {_MAX_LETTERS} letters an n-gram")
        self.idf.flags.writeable = self.projection.flags.writeable = False

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.projection.shape[1])

    @cached_property
    def _table(self) -> "_Table":
        return _Table(self.grams, self.idf)

    @cached_property
    def _wide(self) -> "NDArray[float32]":
        """The projection in the width that processors multiply."""
        return self.projection.astype(np.float32)

    def embed(self, texts: Sequence[str]) -> "NDArray[float32]":
        """Return vectors, shape (texts, dim), of length about sqrt(2) or less as fitted.

        A text of unknown n-grams only is all zeros. A vector does not depend on its neighbours.
        """
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), _BLOCK):
            ends, places, weights = self._table.weigh_all(texts[start : start + _BLOCK])
            for row, (low, high) in enumerate(pairwise(ends)):
                if high > low:
                    wide = self._wide.take(places[low:high], axis=0)
                    np.dot(weights[low:high], wide, out=out[start + row])
        return out

    def folded(self, weights: "NDArray[float32]") -> "Lexicon":
        """Return a lexicon whose vectors are those of this one @ weights, shape (dim, numbers)."""
        return Lexicon(self.grams, self.idf, (self._wide @ weights).astype(np.float16))


class _Table:
    """Where each n-gram stands, and how much it weighs in a text."""

    def __init__(self, grams: Sequence[str], idf: "NDArray[float32]") -> None:
        self.places = {gram: at for at, gram in enumerate(grams)}
        self.block = np.array([gram.startswith(_WORD) for gram in grams], dtype=np.intp)
        self.idf = idf
        self._of_token: dict[str, list[int]] = {}

    def weigh(self, text: str) -> "tuple[NDArray[intp], NDArray[float32]]":
        """Return the places of the known n-grams, ascending, and their weights."""
        _, places, weights = self.weigh_all([text])
        return places, weights

    def weigh_all(
        self, texts: Sequence[str]
    ) -> "tuple[list[int], NDArray[intp], NDArray[float32]]":
        """Return where each text begins and ends, and its places and weights, one after another."""
        found = [self._found(text) for text in texts]
        size = len(self.places)
        row_of = np.repeat(np.arange(len(found)), [len(each) for each in found])
        places = np.fromiter(chain.from_iterable(found), np.intp, len(row_of))
        keys, counts = np.unique(row_of * size + places, return_counts=True)
        rows, places = np.divmod(keys, size)
        weights = (1 + np.log(counts)) * self.idf[places]
        block = 2 * rows + self.block[places]
        lengths = np.sqrt(np.bincount(block, weights**2, minlength=2 * len(found)))
        ends = np.searchsorted(rows, np.arange(len(found) + 1)).tolist()
        return ends, places, (weights / lengths[block]).astype(np.float32)

    def _found(self, text: str) -> list[int]:
        """Return the places of the known n-grams of a text, as often as each occurs."""
        get, plain = self.places.get, _plain(text)
        words = _WORDS.findall(plain)
        found = [at for word in words if (at := get(_WORD + word)) is not None]
        pairs = (f"{_WORD}{one} {two}" for one, two in pairwise(words))
        found += [at for pair in pairs if (at := get(pair)) is not None]
        for token in plain.split():
            found += self._letters(token)
        return found

    def _letters(self, token: str) -> list[int]:
        """Return the places of a token's n-grams of letters; those of usual tokens are kept."""
        kept = self._of_token.get(token)
        if kept is None:
            get = self.places.get
            kept = [at for gram in _letters(token) if (at := get(gram)) is not None]
            if len(self._of_token) < _KEPT and len(token) <= _MAX_LETTERS:
                self._of_token[token] = kept
        return kept


def fit_lexicon(texts: Sequence[str]) -> Lexicon | None:
    """Choose n-grams that occur in two or more texts and project them by a truncated SVD.

    At most 16,384 n-grams, by the number of texts, then by alphabet; at most
    min(384, texts - 1) numbers. None where no n-gram occurs twice. Equal texts give equal
    numbers; the projection is rounded to 16 bits, so fit a head on what `embed` returns.

    Source: Deerwester et al. (1990), "Indexing by latent semantic analysis"; idf smoothed as
    ln((1 + texts) / (1 + texts with it)) + 1.
    """
    grams, counts = _vocabulary(texts)
    if not grams or len(texts) < 2:
        return None
    idf = (np.log((1 + len(texts)) / (1 + counts)) + 1).astype(np.float32)
    axes = _axes(_matrix(texts, _Table(grams, idf)), min(MAX_DIM, len(texts) - 1))
    return Lexicon(grams, idf, axes.astype(np.float16))


def lexical_by_fold(
    texts: Sequence[str], folds: "NDArray[intp]", workers: int = 1
) -> "list[NDArray[float32] | None]":
    """Return, for each fold, vectors of all texts by a lexicon of the texts outside that fold."""

    def table(fold: int) -> "NDArray[float32] | None":
        outside = [text for text, at in zip(texts, folds, strict=True) if at != fold]
        lexicon = fit_lexicon(outside)
        return None if lexicon is None else lexicon.embed(texts)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(table, range(int(folds.max()) + 1)))


def _plain(text: str) -> str:
    """Return the text in one form of its letters, in lower case."""
    if text.isascii():
        return text.lower()
    # A lone surrogate cannot be written to a file; it counts as a question mark.
    return unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode()).lower()


def _grams(text: str) -> Iterator[str]:
    """Yield every n-gram, as often as it occurs."""
    plain = _plain(text)
    words = _WORDS.findall(plain)
    yield from (_WORD + word for word in words)
    yield from (f"{_WORD}{one} {two}" for one, two in pairwise(words))
    for token in plain.split():
        yield from _letters(token)


def _letters(token: str) -> Iterator[str]:
    """Yield the n-grams of letters of a token."""
    padded = f" {token} "
    for size in _SIZES:
        for at in range(len(padded) - size + 1):
            yield padded[at : at + size]


def _vocabulary(texts: Sequence[str]) -> "tuple[tuple[str, ...], NDArray[intp]]":
    """Return the n-grams by alphabet, and in how many texts each occurs."""
    seen: Counter[str] = Counter()
    for text in texts:
        seen.update({gram for gram in _grams(text) if len(gram) <= _MAX_LETTERS})
    common = sorted((-count, gram) for gram, count in seen.items() if count > 1)
    grams = tuple(sorted(gram for _, gram in common[:MAX_GRAMS]))
    return grams, np.array([seen[gram] for gram in grams], dtype=np.intp)


def _matrix(texts: Sequence[str], table: _Table) -> Any:
    """Return the weights as a sparse matrix, shape (texts, grams)."""
    from scipy.sparse import csr_matrix

    ends, places, weights = table.weigh_all(texts)
    return csr_matrix(
        (weights.astype(np.float64), places, ends), shape=(len(texts), len(table.places))
    )


def _axes(matrix: Any, dim: int) -> "NDArray[float64]":
    """Return the leading right singular vectors with fixed signs, shape (grams, dim or fewer)."""
    if matrix.shape[0] <= _DENSE_ROWS:
        values, left = np.linalg.eigh((matrix @ matrix.T).toarray())
        values, left = values[::-1][:dim], left[:, ::-1][:, :dim]
    else:
        values, left = _sketch(matrix, dim)
    kept = values > 1e-6 * values[0]
    axes: NDArray[float64] = (matrix.T @ left[:, kept]) / np.sqrt(values[kept])
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    return axes * np.where(largest < 0, -1.0, 1.0)


def _sketch(matrix: Any, dim: int) -> "tuple[NDArray[float64], NDArray[float64]]":
    """Return the leading eigenvalues and eigenvectors of matrix @ matrix.T, nearly.

    Source: Halko, Martinsson and Tropp (2011), "Finding structure with randomness", alg. 4.4.
    """
    base = matrix @ np.random.default_rng(0).standard_normal((matrix.shape[1], dim + 16))
    for _ in range(3):
        base = matrix @ (matrix.T @ np.linalg.qr(base)[0])
    base = np.linalg.qr(base)[0]
    inner = matrix.T @ base
    values, turn = np.linalg.eigh(inner.T @ inner)
    return values[::-1][:dim], base @ turn[:, ::-1][:, :dim]
