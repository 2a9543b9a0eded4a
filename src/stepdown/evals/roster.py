"""Who is in a set: its size, its digest, which rows belong together and which ask the same.

One pass over the samples, about 60 bytes a sample while it runs; the samples themselves are not
held, so a set may be far larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import TypeAlias

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from stepdown.core.digest import digest_bytes
from stepdown.evals.dataset import Sample

Numbers: TypeAlias = NDArray[np.int64]
MARK_BYTES = 16  # of a digest: two of five million rows meet with a chance of 4e-26


@dataclass(frozen=True, slots=True)
class Roster:
    """A set of `n` samples under the digest of all of them, whatever their order.

    `twins` holds, for each sample, the number of the first one that asks the same; None when no
    two do. `groups` holds a code for each sample, equal for those that are not independent; None
    when all are.
    """

    n: int
    digest: str
    twins: Numbers | None
    groups: Numbers | None

    @property
    def n_groups(self) -> int:
        """The number of groups, each row without one counted as its own."""
        return self.n if self.groups is None else int(self.groups.max(initial=-1)) + 1


class Enrolling:
    """Makes a roster of samples that pass through."""

    def __init__(self) -> None:
        self._n, self._grouped = 0, False
        self._whole, self._asked, self._groups = bytearray(), bytearray(), bytearray()
        self._encode = msgspec.json.Encoder(order="sorted").encode

    def through(self, samples: Iterable[Sample]) -> Iterator[bytes]:
        """Yield each sample as JSON, and enrol it."""
        for sample in samples:
            plain = self._encode(sample)
            self._whole += sha256(plain).digest()
            self._asked += _mark(self._encode(_question(sample)))
            own = sample.group is None
            self._grouped = self._grouped or not own
            self._groups += _mark(f"row {sample.id}" if own else f"group {sample.group}")
            self._n += 1
            yield plain

    def roster(self) -> Roster:
        """Return the roster of all that passed."""
        return Roster(
            n=self._n,
            digest=_set_digest(self._whole),
            twins=_firsts(self._asked),
            groups=_codes(self._groups) if self._grouped else None,
        )


def roster_of(samples: Iterable[Sample]) -> Roster:
    """Return the roster of a set."""
    enrolling = Enrolling()
    for _ in enrolling.through(samples):
        pass
    return enrolling.roster()


def _question(sample: Sample) -> Sample:
    """Return a sample without what no tier sees."""
    return replace(sample, id="", reference=None, group=None, segment=None)


def _mark(data: str | bytes) -> bytes:
    raw = data.encode() if isinstance(data, str) else data
    return blake2b(raw, digest_size=MARK_BYTES).digest()


def _set_digest(digests: bytearray) -> str:
    return digest_bytes(np.sort(np.frombuffer(digests, dtype="S32")).tobytes())


def _firsts(marks: bytearray) -> Numbers | None:
    _, first, code = np.unique(_rows(marks), return_index=True, return_inverse=True)
    return None if first.size == code.size else first[code].astype(np.int64)


def _codes(marks: bytearray) -> Numbers | None:
    found, code = np.unique(_rows(marks), return_inverse=True)
    return None if found.size == code.size else code.astype(np.int64)


def _rows(marks: bytearray) -> NDArray[np.bytes_]:
    """Return marks of one length as an array that numpy sorts."""
    return np.frombuffer(marks, dtype=f"S{MARK_BYTES}")
