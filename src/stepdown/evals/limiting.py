"""Some rows of a set, drawn by their ids: the same on every machine, and more rows keep the fewer.

The first rows of a file are often alike (sorted by label, by day); a draw is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from heapq import nsmallest

from stepdown.evals.dataset import Sample


def drawn(samples: Sequence[Sample], limit: int | None) -> Sequence[Sample]:
    """Return at most `limit` samples in their order; all of them where there is no limit."""
    if limit is None or limit >= len(samples):
        return samples
    chosen = nsmallest(limit, range(len(samples)), key=lambda i: _place(samples[i].id))
    return tuple(samples[i] for i in sorted(chosen))


def _place(sample_id: str) -> bytes:
    return blake2b(sample_id.encode(), digest_size=16).digest()
