"""Requests that were sent more than once: repeats that succeeded, and tries after a failure.

Exact up to `keep` different requests; above that a share of them, chosen by their digests, is
followed and counts are scaled up, so that memory is bounded and the order does not matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stepdown.audit.sketch import Hashes, Ints, summed


class Repeats:
    """Counts by digest of the request."""

    def __init__(self, keep: int = 20_000) -> None:
        self.keep = keep
        self.scale = 1
        # digest, answered, failed, money of those that were answered
        self._known: tuple[Hashes, Ints, Ints, Ints] = (_NO_HASHES, _NO_INTS, _NO_INTS, _NO_INTS)
        self._new: list[tuple[Hashes, Ints, Ints, Ints]] = []
        self._waiting = 0

    @property
    def exact(self) -> bool:
        """Whether every request was followed."""
        self._settle()
        return self.scale == 1

    def extend(self, digests: Hashes, failed: Any, pico: Ints) -> None:
        """Count requests: their digests, which failed, and the money of each."""
        failures = failed.astype(np.int64)
        self._add(digests, 1 - failures, failures, np.where(failed, 0, pico))

    def merge(self, other: Repeats) -> None:
        """Count the other's."""
        other._settle()
        self.scale = max(self.scale, other.scale)
        self._add(*other._known)
        self._settle()

    def _add(self, digests: Hashes, answered: Ints, failed: Ints, pico: Ints) -> None:
        if self.scale > 1:
            own = digests % np.uint64(self.scale) == 0
            digests, answered, failed, pico = digests[own], answered[own], failed[own], pico[own]
        if not len(digests):
            return
        self._new.append((digests, answered, failed, pico))
        self._waiting += len(digests)
        if self._waiting > self.keep:
            self._settle()

    def _settle(self) -> None:
        if self._new:
            digests, *sums = (
                np.concatenate(column) for column in zip(self._known, *self._new, strict=True)
            )
            self._new, self._waiting = [], 0
            digests, (answered, failed, pico) = summed(digests, *sums)
            self._known = digests, answered, failed, pico
        self._prune()

    def _prune(self) -> None:
        digests = self._known[0]
        while len(digests[digests % np.uint64(self.scale) == 0]) > self.keep:
            self.scale *= 2
        if self.scale > 1:
            own = digests % np.uint64(self.scale) == 0
            digests, answered, failed, pico = (column[own] for column in self._known)
            self._known = digests, answered, failed, pico

    @property
    def duplicates(self) -> int:
        """Answered requests beyond the first of their kind."""
        self._settle()
        answered = self._known[1]
        return self.scale * int((answered[answered > 0] - 1).sum())

    @property
    def duplicates_pico(self) -> int:
        """What they cost, at the mean of their kind."""
        self._settle()
        _, answered, _, spent = self._known
        again = answered > 1
        spent, answered = spent[again], answered[again]
        first = -(-spent // answered)  # rounded up, so that what is left is rounded down
        return self.scale * int(sum((spent - first).tolist()))

    @property
    def retries(self) -> int:
        """Requests sent again after the same one had failed."""
        self._settle()
        _, answered, failed, _ = self._known
        first = (answered == 0) & (failed > 0)  # of these one failure was no second try
        return self.scale * (int(failed.sum()) - int(first.sum()))


_NO_HASHES: Hashes = np.empty(0, dtype=np.uint64)
_NO_INTS: Ints = np.empty(0, dtype=np.int64)
