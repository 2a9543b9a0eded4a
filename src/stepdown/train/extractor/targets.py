"""What a field's values teach: how far its spans reach, and which spans of each text are it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from stepdown.train.extractor.candidates import (
    MAX_LINES,
    MAX_TOKENS,
    Places,
    Reach,
    Spans,
    marked,
    places_of,
    spans_within,
)
from stepdown.train.extractor.tokens import Tokens
from stepdown.train.extractor.writing import Same

if TYPE_CHECKING:
    from numpy import bool_
    from numpy.typing import NDArray

_COVERED = 0.995  # share of the values that the reach of a field holds
_WHOLE = 0.98  # share of the values that are whole lines, from which only these are candidates
_SHORT = (
    4  # tokens of a span that is compared as the task compares, where it is not found by letters
)
_SOUGHT = 2000  # tokens of a text that are searched so
_WIDEST = Reach(tokens=MAX_TOKENS, lines=MAX_LINES, whole_lines=True)


class Targets(Struct, frozen=True, eq=False):
    """The candidate spans of each text, which of them are the value, and which texts have none."""

    reach: Reach
    spans: tuple[Spans, ...]
    gold: "tuple[NDArray[bool_], ...]"
    absent: "NDArray[bool_]"

    @property
    def usable(self) -> "NDArray[bool_]":
        """The texts that say where their value is, or that it is absent."""
        found = np.array([bool(one.any()) for one in self.gold])
        return np.asarray(self.absent | found)

    def pairs(self, tokens: Sequence[Tokens], values: Sequence[Any]) -> list[tuple[str, object]]:
        """Return the shortest right span of each text that has one, with its value."""
        found: list[tuple[str, object]] = []
        for text, value, spans, gold in zip(tokens, values, self.spans, self.gold, strict=True):
            at = np.flatnonzero(gold)
            if len(at):
                best = at[np.argmin(spans.last[at] - spans.first[at])]
                found.append((text.span(int(spans.first[best]), int(spans.last[best])), value))
        return found


def places_in(tokens: Sequence[Tokens], values: Sequence[Any], same: Same) -> list[Places | None]:
    """Return where each value stands in its text; None where it does not, or where it is null."""
    return [_places(text, value, same) for text, value in zip(tokens, values, strict=True)]


def _places(tokens: Tokens, value: Any, same: Same) -> Places | None:
    if is_absent(value) or isinstance(value, bool | list | tuple | dict):
        return None
    return places_of(str(value), tokens) or _compared(tokens, value, same)


def is_absent(value: Any) -> bool:
    """Tell whether a value says that the field is absent."""
    return value is None or (isinstance(value, str) and not value.strip())


def _compared(tokens: Tokens, value: Any, same: Same) -> Places | None:
    """Find short spans with a digit that the task holds for equal: other ways to write a day."""
    found = []
    for first in range(min(len(tokens), _SOUGHT)):
        for last in range(first, min(first + _SHORT, len(tokens))):
            span = tokens.span(first, last)
            if any(map(str.isdigit, span)) and same(value, span):
                found.append((first, last))
    if not found:
        return None
    first_last = np.array(found, dtype=np.intp).T
    return Places(Spans(first_last[0], first_last[1]), tight=True)


def targets_of(
    tokens: Sequence[Tokens], values: Sequence[Any], places: Sequence[Places | None]
) -> Targets:
    """Return candidates and right spans of every text; at least one value must have a place."""
    reach = _reach(tokens, places)
    spans = tuple(spans_within(text, reach) for text in tokens)
    gold = tuple(
        np.zeros(len(mine), dtype=np.bool_) if there is None else marked(mine, there, text)
        for mine, there, text in zip(spans, places, tokens, strict=True)
    )
    return Targets(reach, spans, gold, np.array([is_absent(value) for value in values]))


def _reach(tokens: Sequence[Tokens], places: Sequence[Places | None]) -> Reach:
    sizes, heights, whole = [], [], []
    for text, there in zip(tokens, places, strict=True):
        if there is None:
            continue
        first, last = there.spans.first, there.spans.last
        short = int(np.argmin(last - first))
        sizes.append(int(last[short] - first[short]) + 1)
        heights.append(int(text.lines[last[short]] - text.lines[first[short]]) + 1)
        whole.append(bool(marked(spans_within(text, _WIDEST), there, text).any()))
    in_lines = float(np.mean(whole)) >= _WHOLE and max(heights) > 1
    return Reach(
        tokens=min(MAX_TOKENS, _covering(sizes) + (2 if in_lines else 0)),
        lines=min(MAX_LINES, _covering(heights)),
        whole_lines=in_lines,
    )


def _covering(counts: Sequence[int]) -> int:
    return int(np.quantile(counts, _COVERED, method="higher"))
