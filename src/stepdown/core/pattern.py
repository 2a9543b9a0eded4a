"""Texts with open places: `{*}` in a template stands for any text, and is found in linear time."""

from __future__ import annotations

import re
from collections.abc import Sequence

OPEN = "{*}"


def matches(template: str, text: str) -> bool:
    """Tell whether a text is the template with its open places filled; white space may differ."""
    first, *others = template.split(OPEN)
    if not others:
        return text.split() == template.split()
    at = start_of(first, text)
    for part in others[:-1]:
        at = None if at is None else found_after(part.split(), text, at)
    tail = end_of(others[-1], text)
    return at is not None and tail is not None and at <= tail


def between(template: str, mark: str, text: str, *, places: bool = True) -> str | None:
    """Return what stands at `mark`; white space around and inside the template may differ.

    An open place before the mark ends where the fixed text after it is found first, one behind the
    mark begins where the fixed text before it is found last.
    """
    if template == mark:
        return text.strip()
    before, after = template.split(mark)
    if places:
        head, tail = start_of(before, text), end_of(after, text)
    else:
        head, tail = _length(before.split(), text), _length(after[::-1].split(), text[::-1])
        tail = None if tail is None else len(text) - tail
    return None if head is None or tail is None or head > tail else text[head:tail].strip()


def start_of(template: str, text: str) -> int | None:
    """Return where a template that a text begins with ends in it, None where it does not."""
    first, *others = (part.split() for part in template.split(OPEN))
    at = _length(first, text)
    for words in others:
        at = None if at is None else found_after(words, text, at)
    return at


def end_of(template: str, text: str) -> int | None:
    """Return where a template that a text ends with begins in it, None where it does not."""
    mirrored = OPEN.join(part[::-1] for part in reversed(template.split(OPEN)))
    length = start_of(mirrored, text[::-1])
    return None if length is None else len(text) - length


def found_after(words: Sequence[str], text: str, at: int) -> int | None:
    """Return where the words, found first behind a place, end; nothing stands anywhere."""
    if not words:
        return at
    found = re.compile(_joined(words)).search(text, at)
    return None if found is None else found.end()


def _length(words: Sequence[str], text: str) -> int | None:
    """Return how much of the start of `text` the words take, None where they do not stand there.

    One pattern over the whole text would take quadratic time on long runs of white space.
    """
    if not words:
        return 0
    found = re.match(r"\s*" + _joined(words), text)
    return None if found is None else found.end()


def _joined(words: Sequence[str]) -> str:
    return r"\s+".join(re.escape(word) for word in words)
