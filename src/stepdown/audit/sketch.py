"""Counts of bounded size that do not depend on the order of what they saw, and can be merged.

They are fed arrays; what was fed waits until there is enough of it to be sorted in at once.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_ALL = float(1 << 64)


def hash64(text: str) -> int:
    """Return 64 bits that depend on the text alone, on every machine."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def hashes64(texts: Iterable[str]) -> Hashes:
    """Return `hash64` of each text."""
    found = b"".join(
        [blake2b(text.encode("utf-8", "replace"), digest_size=8).digest() for text in texts]
    )
    return np.frombuffer(found, dtype=">u8").astype(np.uint64)


class Quantiles:
    """Quantiles of non-negative numbers: exact up to `EXACT` of them, beyond within 1%.

    Source: Masson, Rim, Lee, "DDSketch", VLDB 2019, section 2 (without collapsing: the ratio of
    the largest to the smallest latency or length is bounded in practice).
    """

    EXACT = 10_000
    RELATIVE = 0.01

    def __init__(self) -> None:
        self.n = 0
        self._values: list[Floats] | None = []  # None: too many, they are counted in buckets
        self._zeros = 0
        self._counts: dict[int, int] = {}
        self._gamma = (1 + self.RELATIVE) / (1 - self.RELATIVE)
        self._log = math.log(self._gamma)

    @property
    def exact(self) -> bool:
        """Whether every number is kept."""
        return self._values is not None

    def add(self, value: float) -> None:
        """Count one number."""
        self.extend(np.array([value]))

    def extend(self, values: Any) -> None:
        """Count an array of numbers; NaN is left out."""
        known = values[np.isfinite(values)]
        if not len(known):
            return
        self.n += len(known)
        if self._values is None:
            self._bucket(known)
            return
        self._values.append(known)
        if self.n > self.EXACT:
            self._give_up()

    def merge(self, other: Quantiles) -> None:
        """Count what the other counted."""
        if other._values is not None:
            for values in other._values:
                self.extend(values)
            return
        self._give_up()
        self.n += other.n
        self._zeros += other._zeros
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def at(self, share: float) -> float | None:
        """Return the quantile at `share` (0..1), None when nothing was counted."""
        if not self.n:
            return None
        rank = share * (self.n - 1)
        if self._values is not None:
            return float(np.sort(np.concatenate(self._values))[math.floor(rank)])
        seen = self._zeros
        if seen > rank:
            return 0.0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen > rank:
                return float(2 * self._gamma**bucket / (self._gamma + 1))
        raise AssertionError("a rank lies within the count")

    def _give_up(self) -> None:
        """Let go of the numbers; their buckets stay."""
        kept, self._values = self._values, None
        if kept:
            self._bucket(np.concatenate(kept))

    def _bucket(self, known: Floats) -> None:
        positive = known[known > 0]
        self._zeros += len(known) - len(positive)
        buckets = np.ceil(np.log(positive) / self._log).astype(np.int64)
        for bucket, count in zip(*map(np.ndarray.tolist, _counted(buckets)), strict=True):
            self._counts[bucket] = self._counts.get(bucket, 0) + count


class Distinct:
    """How many different texts: exact up to `keep`, then estimated within about 1/sqrt(keep).

    Source: Bar-Yossef et al., "Counting distinct elements in a data stream", RANDOM 2002 (k minimum
    values), with the unbiased (k - 1) / kth of Beyer et al., SIGMOD 2007.
    """

    def __init__(self, keep: int = 20_000) -> None:
        self.keep = keep
        self.exact = True
        self._known: Hashes = np.empty(0, dtype=np.uint64)
        self._new: list[Hashes] = []
        self._waiting = 0

    def extend(self, digests: Hashes) -> None:
        """Count texts by their digests."""
        if not len(digests):
            return
        self._new.append(digests)
        self._waiting += len(digests)
        if self._waiting > self.keep:
            self._settle()

    def merge(self, other: Distinct) -> None:
        """Count what the other counted."""
        other._settle()
        self.exact = self.exact and other.exact
        self.extend(other._known)

    def count(self) -> int:
        """Return the number of different texts (see `exact`)."""
        self._settle()
        if self.exact:
            return len(self._known)
        return round((self.keep - 1) / (float(self._known[-1]) / _ALL))

    def _settle(self) -> None:
        if self._new:
            self._known = np.unique(np.concatenate([self._known, *self._new]))
            self._new, self._waiting = [], 0
        if len(self._known) > self.keep:
            self.exact = False
            self._known = self._known[: self.keep].copy()


class Frequencies:
    """How often each whole number was seen."""

    def __init__(self) -> None:
        self._values: Ints = np.empty(0, dtype=np.int64)
        self._counts: Ints = np.empty(0, dtype=np.int64)
        self._new: list[tuple[Ints, Ints]] = []
        self._waiting = 0

    def extend(self, values: Ints) -> None:
        """Count numbers."""
        if len(values):
            self._add(*_counted(values))

    def merge(self, other: Frequencies) -> None:
        """Count what the other counted."""
        other._settle()
        self._add(other._values, other._counts)

    def counts(self) -> Ints:
        """Return how often each number was seen, in the order of the numbers."""
        self._settle()
        return self._counts

    def _add(self, values: Ints, counts: Ints) -> None:
        self._new.append((values, counts))
        self._waiting += len(values)
        if self._waiting > max(1 << 14, len(self._values)):
            self._settle()

    def _settle(self) -> None:
        if not self._new:
            return
        values = np.concatenate([self._values, *(values for values, _ in self._new)])
        counts = np.concatenate([self._counts, *(counts for _, counts in self._new)])
        self._new, self._waiting = [], 0
        self._values, (self._counts,) = summed(values, counts)


class Sample(Generic[T]):
    """A uniform sample of at most `keep` items: those whose keys have the smallest hashes.

    Where `most` is told, the items together are at most that large, except for the first `least`.
    """

    def __init__(self, keep: int, most: int | None = None, least: int = 40) -> None:
        self.keep, self.most, self.least = keep, most, least
        self._items: dict[int, tuple[T, int]] = {}
        self._largest: list[int] = []
        self._size = 0
        self._end = 1 << 64  # an item that was too much once is too much for ever

    @property
    def below(self) -> int:
        """Return the hash under which an item would be kept."""
        full = len(self._items) >= self.keep
        return min(self._end, -self._largest[0]) if full else self._end

    def wants(self, key: int) -> bool:
        """Tell whether an item with this hash would be kept."""
        return key < self.below

    def add(self, key: int, item: T, size: int = 0) -> None:
        """Keep the item if its hash is among the smallest."""
        if key in self._items or not self.wants(key):
            return
        self._items[key] = item, size
        self._size += size
        heapq.heappush(self._largest, -key)
        while self._is_too_much():
            self._end = -heapq.heappop(self._largest)
            self._size -= self._items.pop(self._end)[1]

    def merge(self, other: Sample[T]) -> None:
        """Sample from both."""
        self._end = min(self._end, other._end)
        for key, (item, size) in other._items.items():
            self.add(key, item, size)
        self._cut()

    def items(self) -> list[T]:
        """Return the sample in an order of its own, whatever the order of adding."""
        return [item for _, item in self.pairs()]

    def pairs(self) -> list[tuple[int, T]]:
        """Return the sample with its keys, in the order of the keys."""
        return [(key, self._items[key][0]) for key in sorted(self._items)]

    def _is_too_much(self) -> bool:
        n = len(self._items)
        return n > self.keep or (
            self.most is not None and n > self.least and self._size > self.most
        )

    def _cut(self) -> None:
        """Let go of what lies beyond the end that the other had."""
        for key in [key for key in self._items if key >= self._end]:
            self._size -= self._items.pop(key)[1]
        self._largest = [-key for key in self._items]
        heapq.heapify(self._largest)


def summed(keys: Any, *columns: Ints) -> tuple[Any, Sequence[Ints]]:
    """Return the different keys in order, and the sum of each column over the rows of each."""
    if not len(keys):
        return keys, columns
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return ordered[first], [np.add.reduceat(column[order], first) for column in columns]


def _counted(values: Ints) -> tuple[Ints, Ints]:
    found, counts = np.unique(values, return_counts=True)
    return found, counts.astype(np.int64)
