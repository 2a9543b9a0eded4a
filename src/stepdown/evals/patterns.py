r"""Accepted patterns: what a good free-text answer says, as regular expressions.

A reference is a list of points, or an object `{"points": [...], "refuse": [...]}`. A point is one
pattern, a list of alternatives (any one makes it), or `{"accept": [...], "refuse": [...]}`: a match
of its `refuse` zeroes the point, a match of the outer `refuse` zeroes the whole answer. Patterns
ignore case and may span lines. A pattern says nothing about tone, grammar or truth.

A plain checklist says the same without expressions (`plain_checklist`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct


class Point(Struct, frozen=True, forbid_unknown_fields=True):
    """A point is made when a pattern of `accept` is found and none of `refuse` is."""

    accept: tuple[str, ...]
    refuse: tuple[str, ...] = ()

    def made_in(self, text: str) -> bool:
        """Tell whether the text makes the point."""
        return any_found(self.accept, text) and not any_found(self.refuse, text)


class Checklist(Struct, frozen=True):
    """The points of a good answer, and what must not be said at all."""

    points: tuple[Point, ...]
    refuse: tuple[str, ...] = ()

    def made_in(self, text: str) -> frozenset[int]:
        """Return the numbers (from 0) of the points that the text makes."""
        return frozenset(i for i, point in enumerate(self.points) if point.made_in(text))

    def refused_in(self, text: str) -> bool:
        """Tell whether the text says what must not be said."""
        return any_found(self.refuse, text)


def checklist(reference: object) -> Checklist:
    """Return a reference as a checklist.

    Raises:
        ValueError: it has another shape, no point, or a point without patterns.
        re.error: a pattern is not a regular expression.
    """
    outer: Mapping[str, Any] = {"points": reference}
    if isinstance(reference, Mapping):
        outer = reference
    listed = outer.get("points")
    if not isinstance(listed, list | tuple) or not listed or set(outer) - {"points", "refuse"}:
        raise ValueError(f"expected a list of points, got {reference!r}")
    found = Checklist(tuple(_point(each) for each in listed), _patterns(outer.get("refuse", ())))
    for pattern in (p for point in found.points for p in (*point.accept, *point.refuse)):
        compiled(pattern)
    for pattern in found.refuse:
        compiled(pattern)
    return found


def plain_checklist(reference: object) -> Checklist:
    """Return `{"must": [...], "must_not": [...]}` as a checklist; a bare list is `must`.

    A demand is a plain text (found whatever its case and white space, as whole words), a regular
    expression `{"regex": ...}`, or `{"any": [...]}` of these. At least one of the two lists holds
    something.

    Raises:
        ValueError: it has another shape.
        re.error: a pattern is not a regular expression.
    """
    outer = reference if isinstance(reference, Mapping) else {"must": reference}
    if not isinstance(outer, Mapping) or set(outer) - {"must", "must_not"}:
        raise ValueError(f'expected {{"must": [...], "must_not": [...]}}, got {reference!r}')
    must = [_alternatives(each) for each in _listed(outer.get("must", ()))]
    refused = [_alternatives(each) for each in _listed(outer.get("must_not", ()))]
    if not must and not refused:
        raise ValueError("expected something that the text must or must not say")
    found = Checklist(
        tuple(Point(each) for each in must), tuple(p for each in refused for p in each)
    )
    for pattern in (p for each in (*must, *refused) for p in each):
        compiled(pattern)
    return found


def _listed(plain: object) -> tuple[object, ...]:
    return tuple(plain) if isinstance(plain, list | tuple) else (plain,)


def _alternatives(plain: object) -> tuple[str, ...]:
    """Return a demand as patterns of which one must be found."""
    if isinstance(plain, Mapping) and set(plain) == {"any"}:
        found = tuple(p for each in _listed(plain["any"]) for p in _alternatives(each))
        if found:
            return found
    if isinstance(plain, Mapping) and set(plain) == {"regex"}:
        return _patterns(plain["regex"])
    if isinstance(plain, str) and plain.strip():
        return (_whole_words(plain),)
    raise ValueError(f'expected a text, {{"regex": ...}} or {{"any": [...]}}, got {plain!r}')


def _whole_words(text: str) -> str:
    """Return a plain text as a pattern: any white space, and no letter or digit at its ends."""
    inside = r"\s+".join(re.escape(word) for word in text.split())
    return rf"(?<!\w){inside}(?!\w)"


def any_found(patterns: tuple[str, ...], text: str) -> bool:
    """Tell whether one of the patterns is found in the text."""
    return any(compiled(pattern).search(text) for pattern in patterns)


@lru_cache(maxsize=16384)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern that ignores case and in which a dot matches line ends too."""
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


def _point(plain: object) -> Point:
    if isinstance(plain, Mapping):
        point = msgspec.convert(plain, Point)
    else:
        point = Point(_patterns(plain))
    if not point.accept:
        raise ValueError(f"a point without accepted patterns: {plain!r}")
    return point


def _patterns(plain: object) -> tuple[str, ...]:
    listed = plain if isinstance(plain, list | tuple) else (plain,)
    wrong = [each for each in listed if not isinstance(each, str) or not each]
    if wrong:
        raise ValueError(f"expected a regular expression, got {wrong[0]!r}")
    return tuple(str(each) for each in listed)
