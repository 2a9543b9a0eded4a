"""The spans of a text that could be a field's value, and which of them are it.

A field's `Reach` is learned from its values: how long they get, over how many lines, and whether
they are whole lines. It knows no scores.
"""

import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from stepdown.train.extractor.tokens import Tokens

if TYPE_CHECKING:
    from numpy import bool_, intp
    from numpy.typing import NDArray

MAX_TOKENS, MAX_LINES = 80, 12
STEPS = (2, 3, 4, 5, 6, 8, 11, 16, 24, 36, 54)
"""Lengths in tokens from which a span counts as of the next size."""
SIZES = len(STEPS) + 1


class Reach(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the values of a field go. `whole_lines`: from a line's first token to a last one."""

    tokens: int
    lines: int
    whole_lines: bool = False

    def __post_init__(self) -> None:
        """Refuse what would make spans without end."""
        if not (1 <= self.tokens <= MAX_TOKENS and 1 <= self.lines <= MAX_LINES):
            raise ValueError(f"spans of {self.tokens} tokens in {self.lines} lines are no reach")


class Spans(Struct, frozen=True, eq=False):
    """Candidate spans of one text: first and last token, both included; shape (spans,)."""

    first: "NDArray[intp]"
    last: "NDArray[intp]"

    def __len__(self) -> int:
        """Return the number of spans."""
        return len(self.first)

    @property
    def size(self) -> "NDArray[intp]":
        """The size of each span, 0 to SIZES - 1."""
        return np.searchsorted(STEPS, self.last - self.first + 1, side="right")


def spans_within(tokens: Tokens, reach: Reach) -> Spans:
    """Return every span within a field's reach."""
    found = _of_lines(tokens, reach) if reach.whole_lines else _of_tokens(tokens, reach)
    first, last = (np.concatenate(part) for part in zip(*found, strict=True))
    return Spans(first, last)


def _of_tokens(tokens: Tokens, reach: Reach) -> "list[tuple[NDArray[intp], NDArray[intp]]]":
    every = np.arange(len(tokens), dtype=np.intp)
    found = []
    for more in range(min(reach.tokens, max(len(tokens), 1))):
        first, last = every[: len(every) - more], every[more:]
        near = tokens.lines[last] - tokens.lines[first] < reach.lines
        found.append((first[near], last[near]))
    return found


def _of_lines(tokens: Tokens, reach: Reach) -> "list[tuple[NDArray[intp], NDArray[intp]]]":
    found = []
    for more in range(min(reach.lines, max(len(tokens.firsts), 1))):
        first, last = tokens.firsts[: len(tokens.firsts) - more], tokens.lasts[more:]
        short = last - first < reach.tokens
        found.append((first[short], last[short]))
    return found


class Places(Struct, frozen=True, eq=False):
    """Where a value stands: first and last tokens. `tight`: with every mark that it has."""

    spans: Spans
    tight: bool


def places_of(value: str, tokens: Tokens) -> Places | None:
    """Return where a value stands in a text, None where it does not.

    Case, white space and Unicode form do not count; where it is not found so, marks do not either.
    """
    for plain, tight in ((squashed, True), (letters, False)):
        found = _found(value, tokens, plain)
        if found is not None:
            return Places(found, tight)
    return None


def squashed(text: str) -> str:
    """Return a text without white space and case, in NFKC."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def letters(text: str) -> str:
    """Return the letters and digits of a text, without case."""
    return "".join(filter(str.isalnum, squashed(text)))


def _found(value: str, tokens: Tokens, plain: Callable[[str], str]) -> Spans | None:
    """Find a value among tokens put together; spans begin and end with tokens that count."""
    wanted = plain(value)
    if not wanted:
        return None
    parts = [plain(word) for word in tokens.words]
    whole, ends = "".join(parts), np.cumsum([len(part) for part in parts], dtype=np.intp)
    starts = ends - np.array([len(part) for part in parts], dtype=np.intp)
    first, last = [], []
    at = whole.find(wanted)
    while at >= 0:
        begin = int(np.searchsorted(starts, at, side="right")) - 1
        end = int(np.searchsorted(ends, at + len(wanted), side="left"))
        if starts[begin] == at and ends[end] == at + len(wanted):
            first.append(begin)
            last.append(end)
        at = whole.find(wanted, at + 1)
    return _spans(first, last) if first else None


def _spans(first: Sequence[int], last: Sequence[int]) -> Spans:
    return Spans(np.array(first, dtype=np.intp), np.array(last, dtype=np.intp))


def marked(spans: Spans, places: Places, tokens: Tokens) -> "NDArray[bool_]":
    """Return which spans are the value; marks at the ends do not count where none were compared."""
    if places.tight:
        return _equal(spans, places.spans)
    solid = np.array([any(map(str.isalnum, word)) for word in tokens.words])
    before = np.cumsum(solid)
    return _equal(_numbered(spans, before, solid), _numbered(places.spans, before, solid))


def _numbered(spans: Spans, before: "NDArray[intp]", solid: "NDArray[bool_]") -> Spans:
    """Return spans in numbers of tokens with letters, so that marks at the ends vanish."""
    return Spans(before[spans.first] - solid[spans.first], before[spans.last])


def _equal(spans: Spans, wanted: Spans) -> "NDArray[bool_]":
    pairs = np.stack([wanted.first, wanted.last])
    same = (spans.first[:, None] == pairs[0]) & (spans.last[:, None] == pairs[1])
    found: NDArray[bool_] = same.any(axis=1)
    return found
