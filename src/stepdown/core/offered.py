"""What a provider offers: models by name, since when, until when; and which is a newer version.

Names are all there is: two names are versions of one model when they have the same words in any
order, and differ in their numbers or their date. It asks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from msgspec import Struct

_DATE = re.compile(r"(20\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])")
_PART = re.compile(r"\d+x?\d*b\b|\d+|[a-z]+")  # a size (70b, 8x7b) is a word, not a version
_FLOATING = frozenset({"latest"})


class Offered(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model that somebody lists; `shutdown` is when it stops, where that is announced."""

    id: str
    source: str
    provider: str = ""
    created: date | None = None
    shutdown: date | None = None
    replacement: str = ""


class Named(Struct, frozen=True):
    """A model's name taken apart: its words, its version, and the date of a snapshot."""

    words: tuple[str, ...]
    version: tuple[int, ...]
    date: str


def named(model: str) -> Named:
    """Take a name apart: `claude-sonnet-4-5-20250929` is claude and sonnet, 4.5, 20250929."""
    plain = model.rpartition("/")[2].lower()
    found = _DATE.search(plain)
    rest = plain if found is None else plain[: found.start()] + " " + plain[found.end() :]
    parts = _PART.findall(rest)
    words = sorted(part for part in parts if not part.isdigit() and part not in _FLOATING)
    version = tuple(int(part) for part in parts if part.isdigit())
    return Named(tuple(words), version, "".join(found.groups()) if found is not None else "")


def base_of(model: str) -> str:
    """Return the model that a fine-tuned one is made of: `ft:BASE:ORG::ID`; others themselves."""
    parts = model.split(":")
    return parts[1] if parts[0] == "ft" and len(parts) > 1 and parts[1] else model


def newer(model: str, others: Iterable[str]) -> tuple[str, ...]:
    """Return the names that are newer versions of a model, the newest first.

    A later date counts where the model names a date itself; a name without one floats.
    """
    mine = named(model)
    found: dict[str, Named] = {}
    for other in others:
        theirs = named(other)
        if theirs.words == mine.words and _later(theirs, mine):
            found.setdefault(other.rpartition("/")[2], theirs)
    order = sorted(found.items(), key=lambda one: (one[1].version, one[1].date), reverse=True)
    return tuple(name for name, _ in order)


def _later(theirs: Named, mine: Named) -> bool:
    if not mine.version or not theirs.version:
        return False
    size = max(len(mine.version), len(theirs.version))
    own, other = (one.version + (0,) * (size - len(one.version)) for one in (mine, theirs))
    return other > own or (other == own and bool(mine.date) and theirs.date > mine.date)
