"""The words of a prompt with the variables that show masked, and their shingles as numbers.

A shingle is three words in a row (Broder, "On the resemblance and containment of documents",
SEQUENCES 1997). What a template always says becomes shingles that all its calls share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain

import numpy as np

from stepdown.audit.sketch import Hashes, hash64

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


def words_of(text: str, most: int = 2 * _LONG) -> tuple[str, ...]:
    """Return the words and signs of a text, numbers, dates and addresses as slots.

    Of a long text `most` words are returned, half of them from each end.
    """
    half = most // 2
    if len(text) > 24 * half:  # cut before the costly work; whole words are cut below
        text = f"{text[: 12 * half]} {text[-12 * half :]}"
    found = tuple(chain.from_iterable(map(_pieces, text.split())))
    return found if len(found) <= most else found[:half] + found[-half:]


@lru_cache(maxsize=1 << 16)
def _pieces(written: str) -> tuple[str, ...]:
    """Return the words and signs of what stands between two spaces; no variable holds one."""
    return tuple(_SPLIT.findall(_masked(written)))


def template_text(text: str) -> str:
    """Return a text with its slots, white space as one space each."""
    return " ".join(_masked(text).split())


def _masked(text: str) -> str:
    return _DAY.sub(SLOT, _VARIABLE.sub(SLOT, text))


@lru_cache(maxsize=512)
def kept_shingles(words: tuple[str, ...], role: str) -> Hashes:
    """Return `shingles`, those of texts that repeat worked out once."""
    return shingles(words, role)


def shingles(words: tuple[str, ...], role: str) -> Hashes:
    """Return the shingles of a text; the same words in another role are other shingles.

    They are sorted numbers under 2**63 that depend on the words alone.
    """
    if not words:
        return _NONE
    padded = ("^", *words, "$") if len(words) < 3 else words
    one = _digests(padded)
    mixed = ((one[:-2] * _ODD[0]) ^ (one[1:-1] * _ODD[1])) * _ODD[2] ^ (one[2:] * _ODD[3])
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _ODD[0] + np.uint64(hash64(role))
    return np.unique(mixed >> np.uint64(1))


def _digests(words: Iterable[str]) -> Hashes:
    return np.fromiter(map(_digest, words), dtype=np.uint64)


@lru_cache(maxsize=1 << 16)
def _digest(word: str) -> int:
    return hash64(word)


_NONE: Hashes = np.empty(0, dtype=np.uint64)
# Odd numbers that spread bits (Steele and Vigna, "Computationally easy, spectrally good
# multipliers for congruential pseudorandom number generators", 2022; splitmix64).
_ODD = [
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
    np.uint64(0xD1342543DE82EF95),
    np.uint64(0xAF251AF3B0F025B5),
]
