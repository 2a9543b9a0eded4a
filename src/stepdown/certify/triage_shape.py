"""What a prompt looks like from outside: length, digits, symbols, lines; no meaning, no language.

Sentence vectors are scaled to one length, so they lose how long and how formal a text is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Compact = NDArray[np.float32]

_CLASSES = (b"0123456789", bytes(range(65, 91)), b"=+-*/^<>(){}[]\\$|_%&#@~`", b".?!;:,", b"\n")
_SPACES, _FOREIGN, _KINDS = 6, 7, 8
_READ_BYTES = 8192
_WIDEST = 4.0
"""Standard deviations at which a figure is cut, so that one freak prompt bends nothing."""
SHAPES = 9


def _table() -> NDArray[np.intp]:
    kinds = np.zeros(256, dtype=np.intp)
    for at, letters in enumerate(_CLASSES, start=1):
        kinds[list(letters)] = at
    kinds[list(b" \t\r")] = _SPACES
    kinds[128:] = _FOREIGN
    return kinds


_KIND_OF = _table()


def shapes_of(texts: Sequence[str]) -> Floats:
    """Return figures of the outside of texts, shape (n, 9).

    Logarithms of bytes and of different words; shares of digits, capitals, symbols, punctuation,
    line ends and bytes beyond ASCII; letters per word. Beyond the length only the first 8,192
    bytes are read.
    """
    return np.array([_shape(text) for text in texts], dtype=np.float64).reshape(-1, SHAPES)


def _shape(text: str) -> list[float]:
    raw = text.encode("utf-8", "replace")
    read = raw[:_READ_BYTES]
    counts = np.bincount(_KIND_OF[np.frombuffer(read, dtype=np.uint8)], minlength=_KINDS).tolist()
    size, words = max(1, len(read)), counts[5] + counts[_SPACES] + 1
    shares = [counts[kind] / size for kind in (1, 2, 3, 4, 5, _FOREIGN)]
    different = len(set(read.lower().split()))
    lengths = [float(np.log1p(len(raw))), float(np.log1p(different))]
    return [*lengths, *shares, (size - words) / words]


class Waves(Struct, frozen=True, eq=False):
    """Random features of a Gaussian kernel over standardised shapes.

    `middle` and `spread` (9,), `turns` (9, m), `offset` (2m,). Source: Rahimi and Recht (2007),
    "Random features for large-scale kernel machines".
    """

    middle: Compact
    spread: Compact
    turns: Compact
    offset: Compact

    def project(self, shapes: Floats) -> Floats:
        """Return centred features of mean squared length near 1 at most, shape (n, 2m)."""
        angles = standard(shapes, self.middle, self.spread) @ self.turns
        found: Floats = _circle(angles) - self.offset
        return found


def fit_waves(shapes: Floats, seed: int, many: int) -> Waves:
    """Return `many` frequencies; the width of the kernel is the median distance of the rows."""
    chance = np.random.default_rng(seed)
    middle, spread = shapes.mean(axis=0), shapes.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    scaled = standard(shapes, middle, spread)
    one, other = (scaled[chance.integers(len(scaled), size=2000)] for _ in range(2))
    apart = float(np.median(((one - other) ** 2).sum(axis=1)))
    turns = chance.standard_normal((shapes.shape[1], many)) / np.sqrt(max(apart, 1e-9))
    offset = _circle(scaled @ turns).mean(axis=0)
    return Waves(*(part.astype(np.float32) for part in (middle, spread, turns, offset)))


def standard(shapes: Floats, middle: NDArray[Any], spread: NDArray[Any]) -> Floats:
    """Return shapes in standard deviations from the middle, cut at four."""
    found: Floats = np.clip((shapes - middle) / spread, -_WIDEST, _WIDEST)
    return found


def _circle(angles: Floats) -> Floats:
    found: Floats = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    found /= np.sqrt(angles.shape[1])
    return found
