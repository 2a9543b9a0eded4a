"""Near-duplicates: which texts say almost the same, so that they stay on one side of a split.

Exact, without randomness: texts whose word shingles have a Jaccard similarity of at least
`threshold` are found by prefix filtering and joined transitively. It compares words, not meaning.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

SHINGLE_WORDS = 3
THRESHOLD = 0.8  # Jaccard; one word changed in about thirty gives 0.8 with shingles of three
TOUCHED = 1e-9  # so that 0.8 * 5 does not round up to 5
WORD_BITS = 21  # three words in one number of 63 bits
MARK_WORDS = 4  # 64 bits each, of the bitmap of a set
WIDE = 64  # so many holders of one shingle are compared step by step, more one against the rest

NUMBER = re.compile(r"\d+")
ASCII = {
    code: "0"
    if chr(code).isdigit()
    else chr(code).lower()
    if re.match(r"[\w\s]", chr(code))
    else " "
    for code in range(128)
}

Ints: TypeAlias = NDArray[np.int64]


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
    if text.isascii():  # the same, five times as fast
        plain = text.translate(ASCII)
        return " ".join((NUMBER.sub("0", plain) if "00" in plain else plain).split())
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(NUMBER.sub("0", re.sub(r"[^\w\s]", " ", folded)).split())


def join_near(joined: Joined, texts: Sequence[str], threshold: float = THRESHOLD) -> None:
    """Join the numbers of texts that are near-duplicates: 100,000 short ones take some seconds.

    An empty text, which is not known, is like no other.
    Source: prefix filtering, Chaudhuri, Ganti and Kaushik (2006); Bayardo, Ma and Srikant (2007).
    """
    plain = [normalised(text) if text else None for text in texts]
    joined.join_equal(plain)
    first = {text: i for i, text in reversed(list(enumerate(plain))) if text is not None}
    numbers = np.array(sorted(first.values()), dtype=np.int64)
    if numbers.size > 1:
        _Join(joined, numbers, _Sets(sorted(first, key=first.__getitem__)), threshold).run()


class _Sets:
    """The word shingles of texts as numbers, the rarest of each text first."""

    def __init__(self, texts: Sequence[str]) -> None:
        of_text, codes = _shingles(texts)
        _, codes, counts = np.unique(codes, return_inverse=True, return_counts=True)
        rank = np.empty(counts.size, dtype=np.int64)
        rank[np.argsort(counts, kind="stable")] = np.arange(counts.size)
        both = np.sort(of_text * counts.size + rank[codes])
        both = both[np.append(True, np.diff(both) > 0)]
        self.of_text, self.ranks = np.divmod(both, counts.size)
        self.sizes = np.bincount(self.of_text, minlength=len(texts))
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.marks = self._marks(len(texts))

    def _marks(self, n: int) -> NDArray[np.uint64]:
        """Return a bitmap of each set, by word; it tells most unlike sets apart at a glance."""
        marks = np.zeros((MARK_WORDS, n), dtype=np.uint64)
        bits = self.ranks % (64 * MARK_WORDS)
        one = np.left_shift(np.uint64(1), (bits % 64).astype(np.uint64))
        np.bitwise_or.at(marks, (bits // 64, self.of_text), one)
        return marks

    def prefixes(self, threshold: float) -> tuple[Ints, Ints]:
        """Return texts and shingles, by shingle: near sets share one of those at least."""
        sizes = self.sizes[self.of_text]
        place = np.arange(self.of_text.size) - self.starts[self.of_text]
        inside = place <= sizes - np.ceil(threshold * sizes - TOUCHED)
        order = np.argsort(self.ranks[inside], kind="stable")
        return self.of_text[inside][order], self.ranks[inside][order]

    def jaccard(self, a: int, b: int) -> float:
        """Return the share of shingles that two sets have in common, 0..1."""
        first, second = self._set(a), self._set(b)
        both = len(first & second)
        return both / (len(first) + len(second) - both)

    def _set(self, i: int) -> set[int]:
        return set(self.ranks[self.starts[i] : self.starts[i] + self.sizes[i]].tolist())

    def maybe_near(self, a: Ints, b: Ints, threshold: float) -> NDArray[np.bool_]:
        """Say which pairs of sets are not surely too different: the bitmaps bound from below in
        how many shingles they differ.
        """
        allowed = (1 - threshold) / (1 + threshold) * (self.sizes[a] + self.sizes[b]) + TOUCHED
        left, differ = np.arange(a.size), np.zeros(a.size)
        for word in self.marks:  # most pairs differ too much in the first word already
            differ = differ + np.bitwise_count(word[a[left]] ^ word[b[left]])
            near = differ <= allowed[left]
            left, differ = left[near], differ[near]
        found = np.zeros(a.size, dtype=bool)
        found[left] = True
        return found


def _shingles(texts: Sequence[str]) -> tuple[Ints, Ints]:
    """Return the text and the code of every run of three words; a shorter text is one run.

    Codes are exact for two million different words; more wrap round, and might meet.
    """
    known: dict[str, int] = {}
    words = [[known.setdefault(w, len(known) + 1) for w in text.split()] for text in texts]
    runs = np.array([max(SHINGLE_WORDS, len(each)) for each in words], dtype=np.int64)
    padded = (each + [0] * (SHINGLE_WORDS - len(each)) for each in words)
    whole = np.fromiter(chain.from_iterable(padded), np.uint64, int(runs.sum()))
    of_text = np.repeat(np.arange(len(texts)), runs)
    place = np.arange(whole.size) - np.repeat(np.cumsum(runs) - runs, runs)
    begins = np.flatnonzero(place <= np.repeat(runs, runs) - SHINGLE_WORDS)
    code = np.zeros(begins.size, dtype=np.uint64)
    for step in range(SHINGLE_WORDS):
        code = (code << np.uint64(WORD_BITS)) + whole[begins + step]
    return of_text[begins], code.view(np.int64)


class _Join:
    """One pass over all pairs of texts that share a rare shingle."""

    def __init__(self, joined: Joined, numbers: Ints, sets: _Sets, threshold: float) -> None:
        self.joined = joined
        self.numbers = numbers
        self.sets = sets
        self.threshold = threshold

    def run(self) -> None:
        texts, shingles = self.sets.prefixes(self.threshold)
        ends = np.append(np.flatnonzero(np.diff(shingles)) + 1, shingles.size)
        widths = np.diff(ends, prepend=0)
        left = np.repeat(ends, widths) - np.arange(shingles.size)
        narrow = np.repeat(widths <= WIDE, widths)
        for step in range(1, WIDE):
            here = np.flatnonzero(narrow & (left > step))
            self.compare(texts[here], texts[here + step])
        for end, width in zip(ends.tolist(), widths.tolist(), strict=True):
            if width > WIDE:
                self.sweep(texts[end - width : end])

    def sweep(self, texts: Ints) -> None:
        """Compare many holders of one shingle, each with those that it is not joined with yet."""
        while texts.size > 1:
            one, texts = texts[:1], texts[1:]
            self.compare(np.repeat(one, texts.size), texts)
            texts = self.apart(texts)

    def apart(self, texts: Ints) -> Ints:
        """Return nothing when all are joined already, for then nothing is left to compare."""
        roots = {self.joined.find(int(number)) for number in self.numbers[texts]}
        return texts if len(roots) > 1 else texts[:0]

    def compare(self, a: Ints, b: Ints) -> None:
        near = self.sets.maybe_near(a, b, self.threshold)
        for one, other in zip(a[near].tolist(), b[near].tolist(), strict=True):
            self.join_if_near(one, other)

    def join_if_near(self, a: int, b: int) -> None:
        first, second = int(self.numbers[a]), int(self.numbers[b])
        if self.joined.find(first) == self.joined.find(second):
            return
        if self.sets.jaccard(a, b) >= self.threshold:
            self.joined.join(first, second)
