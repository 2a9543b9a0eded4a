"""Near-duplicates: which texts say almost the same, so that they stay on one side of a split.

Exact, without randomness: texts whose word shingles have a Jaccard similarity of at least
`threshold` are found by prefix filtering and joined transitively. It compares words, not meaning.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence

SHINGLE_WORDS = 3
THRESHOLD = 0.8  # Jaccard; one word changed in about thirty gives 0.8 with shingles of three
TOUCHED = 1e-9  # so that 0.8 * 5 does not round up to 5

Shingles = frozenset[str]


class Joined:
    """Sets of numbers 0..n-1 that belong together (union-find with path halving)."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def find(self, i: int) -> int:
        """Return the smallest number that i is joined with."""
        parent = self._parent
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        """Join the sets of i and j."""
        low, high = sorted((self.find(i), self.find(j)))
        self._parent[high] = low

    def join_equal(self, keys: Iterable[Hashable | None]) -> None:
        """Join the numbers that have the same key; None is a key of its own each time."""
        first: dict[Hashable, int] = {}
        for i, key in enumerate(keys):
            if key is not None:
                self.join(i, first.setdefault(key, i))


def normalised(text: str) -> str:
    """Return the text case-folded, without punctuation, with every number written as 0."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"\d+", "0", re.sub(r"[^\w\s]", " ", folded)).split())


def shingles(text: str) -> Shingles:
    """Return the runs of three words of a normalised text; a shorter text is one shingle."""
    words = text.split()
    last = max(1, len(words) - SHINGLE_WORDS + 1)
    return frozenset(" ".join(words[i : i + SHINGLE_WORDS]) for i in range(last))


def join_near(joined: Joined, texts: Sequence[str], threshold: float = THRESHOLD) -> None:
    """Join the numbers of texts that are near-duplicates.

    Source: prefix filtering, Chaudhuri, Ganti and Kaushik (2006); Bayardo, Ma and Srikant (2007).
    """
    plain = [normalised(text) for text in texts]
    joined.join_equal(plain)
    first = {text: i for i, text in reversed(list(enumerate(plain)))}
    numbers = sorted(first.values())
    sets = {i: shingles(plain[i]) for i in numbers}
    holders: dict[str, list[int]] = defaultdict(list)
    for i, rarest in _by_rarity(sets):
        for other in {h for shingle in _prefix(rarest, threshold) for h in holders[shingle]}:
            if joined.find(i) != joined.find(other) and jaccard(sets[i], sets[other]) >= threshold:
                joined.join(i, other)
        for shingle in _prefix(rarest, threshold):
            holders[shingle].append(i)


def jaccard(a: Shingles, b: Shingles) -> float:
    """Return the share of shingles that two sets have in common, 0..1."""
    both = len(a & b)
    return both / (len(a) + len(b) - both)


def _by_rarity(sets: dict[int, Shingles]) -> Iterable[tuple[int, list[str]]]:
    """Yield each set with its rarest shingles first, in one order for all sets."""
    counts = Counter(shingle for each in sets.values() for shingle in each)
    for i, each in sets.items():
        yield i, sorted(each, key=lambda shingle: (counts[shingle], shingle))


def _prefix(rarest: list[str], threshold: float) -> list[str]:
    """Return the shingles of which two sets that are near enough must share at least one."""
    return rarest[: len(rarest) - math.ceil(threshold * len(rarest) - TOUCHED) + 1]
