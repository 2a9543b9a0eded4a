"""What an answer looks like, and whether two sets of answers look like the work of one step."""

from __future__ import annotations

import re
from collections import Counter
from statistics import median

from msgspec import Struct

from stepdown.audit.contract import json_object

_WORDS = re.compile(r"\w+")
_SHORT = 6  # words of an answer that may be a label
_LONGEST = 4096


class Shape(Struct, frozen=True):
    """One answer: `form` is json, short, prose, call or none; `detail` its keys, label or tool."""

    form: str
    detail: str = ""
    words: int = 0


def shape_of(answer: str | None, called: tuple[str, ...] = ()) -> Shape:
    """Return the shape of an answer."""
    if called:
        return Shape("call", ",".join(sorted(called)), 0)
    if answer is None:
        return Shape("none")
    found = json_object(answer) if len(answer) <= _LONGEST else None
    if found:
        return Shape("json", _keys(found), len(found))
    count = len(_WORDS.findall(answer[:_LONGEST]))
    if count <= _SHORT:
        return Shape("short", answer.strip().casefold(), count)
    return Shape("prose", "", count)


def _keys(found: dict[str, object]) -> str:
    """Return the keys of an object; with one key its value may be a label."""
    (_, value), *rest = found.items()
    label = f"={str(value).casefold()}" if not rest and isinstance(value, str) else ""
    return ",".join(sorted(found)) + (label if len(label) < 60 else "")


class Shapes:
    """The shapes of many answers."""

    def __init__(self) -> None:
        self.forms: Counter[str] = Counter()
        self.details: Counter[str] = Counter()
        self.keys: Counter[str] = Counter()
        self.lengths: list[int] = []

    def add(self, shape: Shape) -> None:
        """Count one."""
        if shape.form == "none":
            return
        self.forms[shape.form] += 1
        if shape.form == "prose":
            self.lengths.append(shape.words)
            return
        self.details[shape.detail] += 1
        self.keys[shape.detail.partition("=")[0] if shape.form == "json" else shape.form] += 1

    def merge(self, other: Shapes) -> None:
        """Count the other's."""
        self.forms += other.forms
        self.details += other.details
        self.keys += other.keys
        self.lengths = self.lengths + other.lengths

    @property
    def main(self) -> str | None:
        """The commonest form, None without answers."""
        return max(self.forms, key=lambda form: (self.forms[form], form)) if self.forms else None


def compare(first: Shapes, second: Shapes) -> str:
    """Say whether two sets of answers are `same`, `like`, `different` or `unknown`.

    `same`: they share what tells (fields, labels, tools). `like`: nothing tells them apart.
    """
    if first.main is None or second.main is None:
        return "unknown"
    if first.main != second.main:
        return "different"
    return _prose(first, second) if first.main == "prose" else _telling(first, second)


def _prose(first: Shapes, second: Shapes) -> str:
    shorter, longer = sorted((median(first.lengths), median(second.lengths)))
    return "like" if longer <= 2 * shorter else "different"


def _telling(first: Shapes, second: Shapes) -> str:
    if _overlap(first.details, second.details):
        return "same"
    if first.main == "json" and not _overlap(first.keys, second.keys):
        return "different"
    if first.main == "json" and any("," in key for key in first.keys):
        return "same"
    bounded = all(len(s.details) * 2 < s.details.total() for s in (first, second))
    return "different" if bounded else "like"


def _overlap(first: Counter[str], second: Counter[str]) -> bool:
    """Tell whether most of the smaller count lies on what both have."""
    if not first or not second:
        return False
    common = first.keys() & second.keys()
    shares = [sum(c[key] for key in common) / c.total() for c in (first, second)]
    return max(shares) >= 0.5 and min(shares) > 0.1
