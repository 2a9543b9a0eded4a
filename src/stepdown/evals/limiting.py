"""Some rows of a set, drawn by their ids: the same on every machine, and more rows keep the fewer.

The first rows of a file are often alike (sorted by label, by day); a draw is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from heapq import nsmallest

from stepdown.evals.dataset import Sample


def drawn(samples: Sequence[Sample], limit: int | None) -> Sequence[Sample]:
    """Return at most `limit` samples in their order; all of them where there is no limit."""
    if limit is None or limit >= len(samples):
        return samples
    chosen = smallest((sample.id for sample in samples), limit)
    return tuple(sample for sample in samples if sample.id in chosen)


def smallest(ids: Iterable[str], limit: int) -> frozenset[str]:
    """Return the `limit` ids that the draw takes."""
    return frozenset(nsmallest(limit, ids, key=_place))


def _place(sample_id: str) -> bytes:
    return blake2b(sample_id.encode(), digest_size=16).digest()
