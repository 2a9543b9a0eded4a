"""What one tier reached, sample by sample: figures as columns, the rest on disk.

25 bytes a row stay in memory; the rows themselves go to a scratch file and come back in order.
Inside the columns NaN means unknown; every figure made of them counts what it left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from stepdown.errors import DataError
from stepdown.ports.run_store import RunRow

Floats: TypeAlias = NDArray[Any]
ABSENT = 255  # the code of a row that nobody has put


class Tally:
    """The rows of one tier, `n` samples times `repeat`, each put once (or again, scored anew)."""

    def __init__(self, n: int, repeat: int, scratch: BinaryIO | None = None) -> None:
        """Make room.

        Args:
            n: samples.
            repeat: times that each is asked.
            scratch: an empty file that can be read and written; without one no rows are kept.
        """
        self.score = np.full((n, repeat), np.nan)
        self.cost_usd = np.full((n, repeat), np.nan, dtype=np.float32)
        self.latency_s = np.full((n, repeat), np.nan, dtype=np.float32)
        self.reused = np.zeros((n, repeat), dtype=bool)
        self.kind = np.full((n, repeat), ABSENT, dtype=np.uint8)
        self._kinds: dict[str | None, int] = {None: 0}
        self._scratch = scratch
        self._places = np.full(n * repeat, -1, dtype=np.int64) if scratch else None
        self._end = 0
        self._encode = msgspec.json.Encoder().encode

    def put(self, i: int, row: RunRow) -> None:
        """Take in the row of sample number `i`.

        Raises:
            DataError: the scratch file cannot be written.
        """
        at = (i, row.repeat)
        self.score[at] = np.nan if row.score is None else row.score
        self.cost_usd[at] = np.nan if row.cost_usd is None else row.cost_usd
        self.latency_s[at] = np.nan if row.latency_s is None else row.latency_s
        self.reused[at] = row.reused
        self.kind[at] = self._kinds.setdefault(row.failure, len(self._kinds))
        if self._scratch is not None and self._places is not None:
            self._places[i * self.repeat + row.repeat] = self._end
            self._end += _written(self._scratch.write, self._encode(row) + b"\n")

    @property
    def n(self) -> int:
        """The number of samples."""
        return int(self.score.shape[0])

    @property
    def repeat(self) -> int:
        """How often each sample was asked."""
        return int(self.score.shape[1])

    @property
    def failures(self) -> Mapping[str, int]:
        """How often each kind of failure occurred."""
        counts = np.bincount(self.kind.ravel(), minlength=ABSENT + 1)
        found = Counter({kind: int(counts[code]) for kind, code in self._kinds.items() if kind})
        return {kind: found[kind] for kind in sorted(found) if found[kind]}

    def of_kind(self, kind: str) -> NDArray[np.bool_]:
        """Say which rows failed in a way."""
        found: NDArray[np.bool_] = self.kind == self._kinds.get(kind, ABSENT + 1)
        return found

    def means(self, right: NDArray[np.bool_] | None = None) -> Floats:
        """Return the mean score of each sample over its repeats, NaN where none has one.

        Rows that `right` marks count as 1.
        """
        score = self.score if right is None else np.where(right, 1.0, self.score)
        if self.repeat == 1:
            column: Floats = score[:, 0]
            return column
        known = ~np.isnan(score)
        count = known.sum(axis=1)
        sums = np.where(known, score, 0.0).sum(axis=1)
        means: Floats = np.divide(sums, count, out=np.full(self.n, np.nan), where=count > 0)
        return means

    def rows(self) -> Iterator[RunRow]:
        """Yield the rows in the order of the samples, repeats together; put none meanwhile."""
        assert self._scratch is not None
        assert self._places is not None
        _written(self._flush)
        decode = msgspec.json.Decoder(RunRow).decode
        try:
            for place in map(int, self._places):
                if place >= 0:
                    self._scratch.seek(place)
                    yield decode(self._scratch.readline())
        finally:
            self._scratch.seek(self._end)

    def close(self) -> None:
        """Let go of the scratch file."""
        if self._scratch is not None:
            self._scratch.close()

    def _flush(self) -> int:
        assert self._scratch is not None
        self._scratch.flush()
        return 0


def _written(write: Callable[..., int], *data: bytes) -> int:
    try:
        return write(*data)
    except OSError as error:
        raise DataError(
            f"The scratch file of the run could not be written: {error.strerror or error}.",
            "The answers are kept; make room and run the same command again.",
        ) from error
