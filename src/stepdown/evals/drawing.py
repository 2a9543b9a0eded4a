"""Draw rows from a set by strata, the same rows each time: chance is a digest of the data.

It knows numbers of rows only: their hashes and the stratum of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Hashes: TypeAlias = NDArray[np.uint64]
Ints: TypeAlias = NDArray[np.int64]


def places(hashes: Hashes, seed: int) -> Hashes:
    """Return a place in the queue for each row: rows are drawn in this order.

    Source: the finaliser of SplitMix64 (Steele, Lea and Flood 2014) on hash xor seed.
    """
    z = hashes ^ np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def quotas(sizes: Sequence[int], n: int) -> list[int]:
    """Return how many of n rows each stratum gives: in proportion, by the largest remainders.

    A stratum that would give none gives one while n allows, so that a rare label is seen at all.
    Source: Hamilton's method (largest remainder), in Balinski and Young (1982).
    """
    total = sum(sizes)
    if n >= total:
        return list(sizes)
    least = 1 if n >= sum(size > 0 for size in sizes) else 0
    exact = [n * size / total for size in sizes]
    given = [
        max(int(share), least if size else 0) for share, size in zip(exact, sizes, strict=True)
    ]
    by_lack = sorted(range(len(sizes)), key=lambda i: (given[i] - exact[i], i))
    for i in by_lack[: max(0, n - sum(given))]:
        given[i] += 1
    for _ in range(sum(given) - n):
        most = max(
            range(len(sizes)), key=lambda i: (given[i] - exact[i] if given[i] > 1 else -1, i)
        )
        given[most] -= 1
    return given


def drawn(queue: Hashes, strata: Ints | None, n: int) -> Ints:
    """Return the numbers of n rows, drawn by strata in the order of the queue, sorted."""
    if strata is None:
        return np.sort(np.argsort(queue, kind="stable")[:n])
    names = np.unique(strata)
    mine = [np.flatnonzero(strata == name) for name in names]
    given = quotas([rows.size for rows in mine], n)
    first = [
        rows[np.argsort(queue[rows], kind="stable")[:quota]]
        for rows, quota in zip(mine, given, strict=True)
    ]
    return np.sort(np.concatenate([*first, np.empty(0, dtype=np.int64)])).astype(np.int64)
