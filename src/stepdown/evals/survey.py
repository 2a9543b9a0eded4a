"""One look over all candidates of an eval set: a few numbers for each, and none of its text.

So a source of millions of rows is chosen from in bounded memory, and read again to be written.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from stepdown.core.digest import digest_bytes
from stepdown.evals.candidates import Candidate, Judged, TurnedDown
from stepdown.evals.twins import first_of, hash_of, plain

Hashes: TypeAlias = NDArray[np.uint64]
NO_STRATUM = "(none)"
MOST_STRATA = 10_000  # more names than that are no strata, and would not fit into memory


class Survey:
    """What is known of the candidates, by their number in order of reading.

    `by` names what the strata are made of: `label`, `segment`, or None for one stratum.
    """

    def __init__(self, by: str | None = None) -> None:
        self.by = by
        self.turned: Counter[str] = Counter()
        self.examples: dict[str, TurnedDown] = {}
        self.strata: dict[str, int] = {}
        self.models: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self._text, self._reference = array("Q"), array("Q")
        self._id, self._session = array("Q"), array("Q")
        self._stratum, self._line = array("l"), array("Q")
        self._source, self.sources = array("H"), dict[str, int]()

    def __len__(self) -> int:
        return len(self._text)

    def add_all(self, judged: Iterable[Judged]) -> None:
        """Take every candidate, and count those that were turned down."""
        for one in judged:
            if isinstance(one, TurnedDown):
                self.turned[one.kind] += 1
                self.examples.setdefault(one.kind, one)
            else:
                self._add(one)

    def _add(self, one: Candidate) -> None:
        self._text.append(hash_of(plain(one.whole or one.text)))
        self._reference.append(hash_of(as_text(one.reference)))
        self._id.append(0 if one.id is None else hash_of(one.id) | 1)
        self._session.append(0 if one.session is None else hash_of(one.session) | 1)
        self._stratum.append(self._stratum_code(stratum_of(one, self.by)))
        self._line.append(one.line)
        self._source.append(self.sources.setdefault(one.source, len(self.sources)))
        if one.model is not None:
            self.models[one.model] += 1

    def _stratum_code(self, name: str) -> int:
        if name not in self.strata and len(self.strata) >= MOST_STRATA:
            return MOST_STRATA
        return self.strata.setdefault(name, len(self.strata))

    def strata_for(self, n: int) -> NDArray[np.int64] | None:
        """Return the strata of a sample of n rows, None where there are more than rows or one."""
        return self.stratum if 1 < len(self.strata) <= min(n, MOST_STRATA - 1) else None

    @property
    def text(self) -> Hashes:
        """Hashes of the texts, but for case and white space."""
        return np.frombuffer(self._text, dtype=np.uint64)

    @property
    def reference(self) -> Hashes:
        """Hashes of the references."""
        return np.frombuffer(self._reference, dtype=np.uint64)

    @property
    def id(self) -> Hashes:
        """Hashes of the ids, 0 where a row has none."""
        return np.frombuffer(self._id, dtype=np.uint64)

    @property
    def stratum(self) -> NDArray[np.int64]:
        """Numbers of the strata."""
        return np.frombuffer(self._stratum, dtype=np.int64)

    def place(self, number: int) -> tuple[str, int]:
        """Return source and line of a candidate."""
        return list(self.sources)[self._source[number]], self._line[number]

    def sessions_name_rows(self, kept: NDArray[np.int64]) -> bool:
        """Say whether each of these rows has a session of its own, which can then be its id."""
        mine = np.frombuffer(self._session, dtype=np.uint64)[kept]
        return bool(mine.size and mine.all() and (first_of(mine) == np.arange(mine.size)).all())

    @property
    def digest(self) -> str:
        """Digest of all candidates, whatever their order."""
        both = self.text ^ (self.reference * np.uint64(0x9E3779B97F4A7C15))
        return digest_bytes(np.sort(both).tobytes())


def as_text(reference: object) -> str:
    """Return a reference as one text: itself, or its canonical JSON."""
    if isinstance(reference, str):
        return reference
    return msgspec.json.encode(reference, order="sorted").decode()


def stratum_of(one: Candidate, by: str | None) -> str:
    """Return the name of a candidate's stratum."""
    if by is None:
        return ""
    found = one.reference if by == "label" else one.segment
    return found if isinstance(found, str) else NO_STRATUM
