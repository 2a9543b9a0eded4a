"""The words of a prompt with the variables that show masked, and their shingles as numbers.

A shingle is three words in a row (Broder, "On the resemblance and containment of documents",
SEQUENCES 1997). What a template always says becomes shingles that all its calls share.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from stepdown.audit.sketch import hash64

SLOT = "<*>"
_LONG = 400  # words looked at from each end of a text
_VARIABLE = re.compile(
    r"https?://\S+"
    r"|[\w.+-]+@[\w-]+\.[\w.]+"
    r"|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
    r"|\S*\d\S*"
)
_DAYS = (
    "january|february|march|april|june|july|august|september|october|november|december"
    "|monday|tuesday|wednesday|thursday|friday|saturday|sunday"
)
_DAY = re.compile(rf"\b(?:{_DAYS})\b", re.IGNORECASE)
_SPLIT = re.compile(r"<\*>|\w+|[^\w\s]")


def words_of(text: str) -> tuple[str, ...]:
    """Return the words and signs of a text, numbers, dates and addresses as slots."""
    if len(text) > 12 * _LONG * 2:  # cut before the costly work; whole words are cut below
        text = f"{text[: 12 * _LONG]} {text[-12 * _LONG :]}"
    bare = _DAY.sub(SLOT, _VARIABLE.sub(SLOT, text))
    found = _SPLIT.findall(bare)
    if len(found) > 2 * _LONG:
        found = found[:_LONG] + found[-_LONG:]
    return tuple(found)


def template_text(text: str) -> str:
    """Return a text with its slots, white space as one space each."""
    return " ".join(_DAY.sub(SLOT, _VARIABLE.sub(SLOT, text)).split())


@lru_cache(maxsize=4096)
def shingles(words: tuple[str, ...], role: str) -> frozenset[int]:
    """Return the shingles of a text; the same words in another role are other shingles."""
    if not words:
        return frozenset()
    runs = _runs(words)
    return frozenset(hash64(f"{role}\0{' '.join(run)}") & _SIGNED for run in runs)


def _runs(words: Sequence[str]) -> list[Sequence[str]]:
    padded = ("^", *words, "$") if len(words) < 3 else words
    return [padded[place : place + 3] for place in range(len(padded) - 2)]


_SIGNED = (1 << 63) - 1
