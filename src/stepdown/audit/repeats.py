"""Requests that were sent more than once: repeats that succeeded, and tries after a failure.

Exact up to `keep` different requests; above that a share of them, chosen by their digests, is
followed and counts are scaled up, so that memory is bounded and the order does not matter.
"""

from __future__ import annotations


class Repeats:
    """Counts by digest of the request."""

    def __init__(self, keep: int = 20_000) -> None:
        self.keep = keep
        self.scale = 1
        self._seen: dict[int, tuple[int, int, int]] = {}  # answered, failed, pico of answered

    @property
    def exact(self) -> bool:
        """Whether every request was followed."""
        return self.scale == 1

    def add(self, digest: int, *, failed: bool, pico: int) -> None:
        """Count a request."""
        if digest % self.scale:
            return
        answered, errors, spent = self._seen.get(digest, (0, 0, 0))
        self._seen[digest] = (
            answered + (not failed), errors + failed, spent + (0 if failed else pico),
        )  # fmt: skip
        self._prune()

    def merge(self, other: Repeats) -> None:
        """Count the other's."""
        self.scale = max(self.scale, other.scale)
        for digest, counts in other._seen.items():
            mine = self._seen.get(digest, (0, 0, 0))
            self._seen[digest] = tuple(a + b for a, b in zip(mine, counts, strict=True))  # type: ignore[assignment]
        self._seen = {d: c for d, c in self._seen.items() if not d % self.scale}
        self._prune()

    def _prune(self) -> None:
        while len(self._seen) > self.keep:
            self.scale *= 2
            self._seen = {d: c for d, c in self._seen.items() if not d % self.scale}

    @property
    def duplicates(self) -> int:
        """Answered requests beyond the first of their kind."""
        return self.scale * sum(answered - 1 for answered, _, _ in self._seen.values() if answered)

    @property
    def duplicates_pico(self) -> int:
        """What they cost, at the mean of their kind."""
        paid = (
            spent * (answered - 1) // answered
            for answered, _, spent in self._seen.values()
            if answered > 1
        )
        return self.scale * sum(paid)

    @property
    def retries(self) -> int:
        """Requests sent again after the same one had failed."""
        tries = (
            failed if answered else failed - 1
            for answered, failed, _ in self._seen.values()
            if failed
        )
        return self.scale * sum(tries)
