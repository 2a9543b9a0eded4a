"""Twins of rows: equal ones, near ones, and those that stand in training data too.

Equal texts are found by their hashes, whatever their number; near ones by comparing the texts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stepdown.evals.duplicates import SHINGLE_WORDS, Joined, join_near, normalised

Hashes: TypeAlias = NDArray[np.uint64]
Ints: TypeAlias = NDArray[np.int64]
NEAR_MOST = 200_000  # texts compared at once: about half a minute and 400 MB
MOST_PARTNERS = 50
# Numbers count when rows are compared with each other: "what is 2 + 2" is not "what is 3 + 5".
DIGITS = {ord(str(digit)): f"q{chr(ord('a') + digit)}" for digit in range(10)}


def hash_of(text: str) -> int:
    """Return 64 bits of a text: two of five million meet by chance once in 1.5 million sets."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def plain(text: str) -> str:
    """Return the text in NFKC, case-folded, with single spaces."""
    if text.isascii():
        return " ".join(text.lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def first_of(keys: Hashes) -> Ints:
    """Return for each row the number of the first row with its key."""
    order = np.argsort(keys, kind="stable")
    new = np.empty(keys.size, dtype=bool)
    new[:1] = True
    np.not_equal(keys[order][1:], keys[order][:-1], out=new[1:])
    starts = np.maximum.accumulate(np.where(new, np.arange(keys.size), 0))
    first = np.empty(keys.size, dtype=np.int64)
    first[order] = order[starts]
    return first


def near_first(texts: Sequence[str], keys: Sequence[int]) -> list[int]:
    """Return for each text the number of the first near-duplicate with its key (itself: none)."""
    joined = Joined(len(texts))
    join_near(joined, [text.translate(DIGITS) for text in texts])
    first: dict[tuple[int, int], int] = {}
    return [first.setdefault((joined.find(i), keys[i]), i) for i in range(len(texts))]


def leaks(texts: Sequence[str], training: Sequence[str]) -> dict[int, tuple[int, float]]:
    """Return for each text near a training text the number of the nearest, and how near, 0..1.

    Near as the split calls it (numbers do not count), also through another text. 1.0 is equal.
    """
    joined = Joined(len(training) + len(texts))
    join_near(joined, [*training, *texts])
    partners: dict[int, list[int]] = {}
    for i in range(len(training)):
        partners.setdefault(joined.find(i), []).append(i)
    found = {}
    for i, text in enumerate(texts):
        near = partners.get(joined.find(len(training) + i), ())
        if near:
            found[i] = _nearest(text, training, near[:MOST_PARTNERS])
    return found


def _nearest(text: str, training: Sequence[str], near: Sequence[int]) -> tuple[int, float]:
    mine = _shingles(text)
    similar = [(_jaccard(mine, _shingles(training[i])), -i) for i in near]
    value, place = max(similar)
    return -place, value


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = normalised(text).split()
    last = max(1, len(words) - SHINGLE_WORDS + 1)
    return {tuple(words[i : i + SHINGLE_WORDS]) for i in range(last)}


def _jaccard(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b)
