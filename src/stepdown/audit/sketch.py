"""Counts of bounded size that do not depend on the order of what they saw, and can be merged."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import numpy as np

T = TypeVar("T")
_ALL = float(1 << 64)


def hash64(text: str) -> int:
    """Return 64 bits that depend on the text alone, on every machine."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


class Quantiles:
    """Quantiles of non-negative numbers within a relative error of 1%.

    Source: Masson, Rim, Lee, "DDSketch", VLDB 2019, section 2 (without collapsing: the ratio of
    the largest to the smallest latency or length is bounded in practice).
    """

    RELATIVE = 0.01

    def __init__(self) -> None:
        self.n = 0
        self._zeros = 0
        self._counts: dict[int, int] = {}
        self._gamma = (1 + self.RELATIVE) / (1 - self.RELATIVE)
        self._log = math.log(self._gamma)

    def add(self, value: float) -> None:
        """Count one number."""
        self.n += 1
        if value <= 0:
            self._zeros += 1
            return
        bucket = math.ceil(math.log(value) / self._log)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1

    def extend(self, values: Any) -> None:
        """Count an array of numbers; NaN is left out."""
        known = values[np.isfinite(values)]
        positive = known[known > 0]
        self.n += len(known)
        self._zeros += len(known) - len(positive)
        buckets = np.ceil(np.log(positive) / self._log).astype(np.int64)
        for bucket, count in zip(*map(list, np.unique(buckets, return_counts=True)), strict=True):
            self._counts[int(bucket)] = self._counts.get(int(bucket), 0) + int(count)

    def merge(self, other: Quantiles) -> None:
        """Count what the other counted."""
        self.n += other.n
        self._zeros += other._zeros
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def at(self, share: float) -> float | None:
        """Return the quantile at `share` (0..1), None when nothing was counted."""
        if not self.n:
            return None
        rank, seen = share * (self.n - 1), self._zeros
        if seen > rank:
            return 0.0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen > rank:
                return float(2 * self._gamma**bucket / (self._gamma + 1))
        raise AssertionError("a rank lies within the count")


class Distinct:
    """How many different texts: exact up to `keep`, then estimated within about 1/sqrt(keep).

    Source: Bar-Yossef et al., "Counting distinct elements in a data stream", RANDOM 2002 (k minimum
    values), with the unbiased (k - 1) / kth of Beyer et al., SIGMOD 2007.
    """

    def __init__(self, keep: int = 20_000) -> None:
        self.keep = keep
        self.exact = True
        self._hashes: set[int] = set()

    def add(self, text: str) -> None:
        """Count a text."""
        self.add_hash(hash64(text))

    def add_hash(self, digest: int) -> None:
        """Count a text by its digest."""
        self._hashes.add(digest)
        if len(self._hashes) > 2 * self.keep:
            self._prune()

    def extend(self, texts: Iterable[str]) -> None:
        """Count texts."""
        for text in set(texts):
            self.add(text)

    def merge(self, other: Distinct) -> None:
        """Count what the other counted."""
        self._hashes |= other._hashes
        self.exact = self.exact and other.exact
        if len(self._hashes) > 2 * self.keep:
            self._prune()

    def count(self) -> int:
        """Return the number of different texts (see `exact`)."""
        if self.exact and len(self._hashes) <= self.keep:
            return len(self._hashes)
        self._prune()
        return round((self.keep - 1) / (max(self._hashes) / _ALL))

    def _prune(self) -> None:
        self.exact = False
        self._hashes = set(heapq.nsmallest(self.keep, self._hashes))


class Sample(Generic[T]):
    """A uniform sample of at most `keep` items: those whose keys have the smallest hashes."""

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self._items: dict[int, T] = {}
        self._largest: list[int] = []

    def wants(self, key: int) -> bool:
        """Tell whether an item with this hash would be kept."""
        return len(self._items) < self.keep or key < -self._largest[0]

    def add(self, key: int, item: T) -> None:
        """Keep the item if its hash is among the smallest."""
        if key in self._items or not self.wants(key):
            return
        self._items[key] = item
        heapq.heappush(self._largest, -key)
        if len(self._items) > self.keep:
            del self._items[-heapq.heappop(self._largest)]

    def merge(self, other: Sample[T]) -> None:
        """Sample from both."""
        for key, item in other._items.items():
            self.add(key, item)

    def items(self) -> list[T]:
        """Return the sample in an order of its own, whatever the order of adding."""
        return [self._items[key] for key in sorted(self._items)]
