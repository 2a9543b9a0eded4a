"""Find what many texts of one template share: the fixed parts in order, with open places between.

It compares words, so that letters which values happen to share stay in the values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from stepdown.core.pattern import OPEN, found_after

_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")
_SIGN = re.compile(r"[^\w\s.,;!?'-]|\n")  # what templates set around a value and prose seldom does
_END = re.compile(r"\w(?:[\w./+@-]|(?<=\d):)*\Z")
_BEGIN = re.compile(r"\A(?:[\w./+@-]|:(?=\d))*\w")
COMPARED = 20  # texts that are aligned; chance words are gone after a dozen
MOST_TOKENS = 4000  # longer middles are not aligned: time grows with the square


def skeleton(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the fixed parts of texts in order; an open place stands between every two of them.

    The first and the last part may be empty. Equal texts are one fixed part.
    """
    different = sorted(set(texts), key=lambda text: (len(text), text))
    if len(different) == 1:
        return (different[0],)
    chosen = _spread(different)
    tokens = [_TOKEN.findall(text) for text in chosen]
    if len(tokens[0]) > MOST_TOKENS:
        return ("", "")
    common = _Common(tokens[0])
    for other in tokens[1:]:
        common.meet(other)
    return tuple(_kept(common.parts(), different))


class _Common:
    """The tokens of the shortest text that all others have too, in the same order."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.joined = [True] * (len(tokens) - 1)  # whether a token follows its neighbour directly
        self.at_start = self.at_end = True

    def meet(self, other: list[str]) -> None:
        """Keep what the other text has too."""
        blocks = _blocks(self.tokens, other)
        kept: list[str] = []
        joined: list[bool] = []
        before: tuple[int, int] | None = None
        for a, b, size in blocks:
            if before is not None:
                joined.append(before == (a, b) and self.joined[a - 1])
            kept += self.tokens[a : a + size]
            joined += self.joined[a : a + size - 1]
            before = (a + size, b + size)
        first = blocks[0] if blocks else None
        self.at_start = self.at_start and first is not None and first[:2] == (0, 0)
        ends = (len(self.tokens), len(other))
        self.at_end = self.at_end and before == ends
        self.tokens, self.joined = kept, joined

    def parts(self) -> list[str]:
        """Return the runs of tokens that follow each other in every text."""
        runs: list[list[str]] = [] if self.at_start and self.tokens else [[]]
        for index, token in enumerate(self.tokens):
            if index == 0 or not self.joined[index - 1]:
                runs.append([])
            runs[-1].append(token)
        if not self.at_end:
            runs.append([])
        return ["".join(run) for run in runs]


def _blocks(first: list[str], second: list[str]) -> list[tuple[int, int, int]]:
    """Return the matching runs, the common beginning and end first: they are the template's."""
    shortest = min(len(first), len(second))
    head = next((i for i in range(shortest) if first[i] != second[i]), shortest)
    left = shortest - head
    tail = next((i for i in range(left) if first[-1 - i] != second[-1 - i]), left)
    inner = SequenceMatcher(
        None, first[head : len(first) - tail], second[head : len(second) - tail], autojunk=False
    )
    found = [(0, 0, head)] if head else []
    found += [(a + head, b + head, n) for a, b, n in inner.get_matching_blocks() if n]
    if tail:
        found.append((len(first) - tail, len(second) - tail, tail))
    return found


def _spread(texts: Sequence[str]) -> list[str]:
    step = max(1, len(texts) // COMPARED)
    return list(texts[::step][:COMPARED])


def _kept(parts: list[str], texts: Sequence[str]) -> list[str]:
    """Return the parts without those that values share by chance."""
    first, *inner, last = parts if len(parts) > 1 else [*parts, ""]
    held = [_whole(part) for part in inner]
    sure = [part for part in held if _telling(part)]
    return [_cut_back(first), *(part for part in sure if _everywhere(part, texts)), _cut(last)]


def _whole(part: str) -> str:
    return _cut(_cut_back(part))


def _cut_back(part: str) -> str:
    """Return a part without the word at its end: it may be the beginning of a value.

    A date of which only the day differs is a value as a whole.
    """
    return _cut_to(part, _END.sub("", part))


def _cut(part: str) -> str:
    return _cut_to(part, _BEGIN.sub("", part))


def _cut_to(part: str, rest: str) -> str:
    return rest if rest.strip() or not part.strip() else ""


def _telling(part: str) -> bool:
    """Tell whether a part is more than a word that prose may hold anywhere."""
    words = part.split()
    return len(words) >= 3 or bool(words and _SIGN.search(part) and len(part.strip()) >= 3)


def _everywhere(part: str, texts: Sequence[str]) -> bool:
    return all(found_after(part.split(), text, 0) is not None for text in texts)


def joined(parts: Sequence[str]) -> str:
    """Return fixed parts as a template with open places."""
    return OPEN.join(parts)
