"""A text cut into tokens: runs of letters, numbers with what stands inside them, single marks.

It knows offsets and lines; it knows no fields and no encoder.
"""

import re
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from numpy import intp
    from numpy.typing import NDArray

MAX_CHARACTERS = 200_000
"""What is read of a text; a longer one is cut there."""
_TOKEN = re.compile(r"\d+(?:[.,:/\-]\d+)*|[^\W\d_]+|\S")


class Tokens(Struct, frozen=True, eq=False, dict=True):
    """Where the tokens of a text begin and end, and in which line; arrays of shape (tokens,).

    Lines are those that hold a token, counted from 0.
    """

    text: str
    starts: "NDArray[intp]"
    ends: "NDArray[intp]"
    lines: "NDArray[intp]"

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.starts)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The tokens as they are written."""
        spans = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return tuple(self.text[start:end] for start, end in spans)

    @cached_property
    def firsts(self) -> "NDArray[intp]":
        """The first token of each line."""
        if not len(self):
            return np.zeros(0, dtype=np.intp)
        return np.flatnonzero(np.diff(self.lines, prepend=-1))

    @cached_property
    def lasts(self) -> "NDArray[intp]":
        """The last token of each line."""
        return np.append(self.firsts[1:] - 1, len(self) - 1).astype(np.intp)[: len(self.firsts)]

    def span(self, first: int, last: int) -> str:
        """Return the text from one token to another, both included."""
        return self.text[int(self.starts[first]) : int(self.ends[last])]


def tokenise(text: str) -> Tokens:
    """Return the tokens of the first 200,000 characters of a text."""
    read = text[:MAX_CHARACTERS]
    found = [match.span() for match in _TOKEN.finditer(read)]
    starts, ends = np.array(found, dtype=np.intp).reshape(-1, 2).T
    breaks = np.array([at for at, letter in enumerate(read) if letter == "\n"], dtype=np.intp)
    _, lines = np.unique(np.searchsorted(breaks, starts), return_inverse=True)
    return Tokens(read, starts, ends, lines.astype(np.intp))
