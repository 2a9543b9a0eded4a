"""Who is in a set: its size, its digest, which rows belong together and which ask the same.

One pass over the samples, about 60 bytes a sample while it runs; the samples themselves are not
held, so a set may be far larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterable
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

    `order` is the digest of the same samples in this order.
    `twins` holds, for each sample, the number of the first one that asks the same; None when no
    two do. `groups` holds a code for each sample, equal for those that are not independent; None
    when all are.
    """

    n: int
    digest: str
    order: str
    twins: Numbers | None
    groups: Numbers | None

    @property
    def n_groups(self) -> int:
        """The number of groups, each row without one counted as its own."""
        return self.n if self.groups is None else int(self.groups.max(initial=-1)) + 1


def roster_of(samples: Iterable[Sample]) -> Roster:
    """Return the roster of a set."""
    n, whole, asked, groups, grouped = 0, bytearray(), bytearray(), bytearray(), False
    encode = msgspec.json.Encoder(order="sorted").encode
    for sample in samples:
        whole += sha256(encode(sample)).digest()
        asked += _mark(encode(_question(sample)))
        own = sample.group is None
        grouped = grouped or not own
        groups += _mark(f"row {sample.id}" if own else f"group {sample.group}")
        n += 1
    return Roster(
        n=n,
        digest=_set_digest(whole),
        order=digest_bytes(whole),
        twins=_firsts(asked),
        groups=_codes(groups) if grouped else None,
    )


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
