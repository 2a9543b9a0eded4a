"""How long the tail of unusual inputs is: inputs that are unlike all others, and the longest ones.

Words are compared, not meaning: an input is unusual when no other of the sample shares enough of
its rare words. A small model sees such inputs seldom in its examples, and fails there first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.audit.rules import Rules
from stepdown.audit.sketch import Quantiles, hash64

_WORD = re.compile(r"[^\W\d]+")
_WIDTH = 2048  # hashed words: few collisions among the words of 400 short inputs
_CHARS = 4000  # of an input


class Tail(Struct, frozen=True):
    """`unlike` of the `n` inputs looked at are unlike all others; None: too few to say.

    `stretch` is the 99th percentile of input tokens over the median, None where they are unknown.
    """

    unlike: float | None
    n: int
    stretch: float | None

    def is_long(self, rules: Rules) -> bool:
        """Tell whether it is longer than a step that steps down should have."""
        odd, stretch = self.unlike or 0.0, self.stretch or 0.0
        return odd > rules.tail_unlike or stretch > rules.tail_stretch

    @property
    def evidence(self) -> tuple[str, ...]:
        """What was seen, in words."""
        found = []
        if self.unlike is not None and self.unlike >= 0.005:
            found.append(f"{self.unlike:.0%} of {self.n:,} inputs are like no other")
        if self.stretch is not None and self.stretch >= 2:
            found.append(f"1% of inputs are over {self.stretch:.1f} times as long as the median")
        return tuple(found)


def tail_of(inputs: Sequence[str], lengths: Quantiles, rules: Rules) -> Tail:
    """Return the tail of some inputs of a step, and of the lengths of all."""
    middle, long = lengths.at(0.5), lengths.at(0.99)
    stretch = long / middle if middle and long is not None and lengths.n >= 100 else None
    n = len(inputs)
    return Tail(_unlike(inputs, rules) if n >= rules.tail_inputs else None, n, stretch)


def _unlike(inputs: Sequence[str], rules: Rules) -> float:
    """Return the share of inputs whose nearest other one is much further away than is usual.

    Cosine of words without digits, each weighed by how few inputs have it (Sparck Jones 1972);
    equal inputs are near each other, so a repeated odd one is no tail.
    """
    counts = np.zeros((len(inputs), _WIDTH))
    for row, text in enumerate(inputs):
        for word in set(_WORD.findall(text[:_CHARS].casefold())):
            counts[row, hash64(word) % _WIDTH] = 1.0
    weighed = _unit(counts * np.log(len(inputs) / np.maximum(counts.sum(axis=0), 1.0)))
    near = weighed @ weighed.T
    np.fill_diagonal(near, -1.0)
    nearest = near.max(axis=1)
    return float((nearest < rules.tail_near * np.median(nearest)).mean())


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float64] = rows / np.where(length > 0, length, 1.0)
    return unit
