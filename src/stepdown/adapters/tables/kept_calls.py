"""The calls in one append-only file, looked up by key without holding them in memory.

An index of 24 bytes a call stays in memory; a call is read and decoded when it is asked for.
"""

from __future__ import annotations

import os
import weakref
from array import array
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, TypeAlias

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.ports.run_store import SavedCall

Marks: TypeAlias = NDArray[np.uint64]


class _Named(Struct, frozen=True):
    """As much of a line as the index needs; decoding it checks the whole line's syntax."""

    key: str
    sample_id: str


class KeptCalls(Mapping[str, SavedCall]):
    """Key to call, the last line of a key winning; torn lines are passed over."""

    def __init__(self, path: Path) -> None:
        """Index the lines that the file has now."""
        self._decode = msgspec.json.Decoder(SavedCall).decode
        with path.open("rb") as file:
            marks, places = _index(file)
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        order = np.argsort(marks, kind="stable")
        self._marks, self._places = marks[order], places[order]

    def __getitem__(self, key: str) -> SavedCall:
        """Read the last call of a key."""
        found = self._find(key)
        if found is None:
            raise KeyError(key)
        return found

    def get(self, key: str, default: object = None) -> SavedCall | None:  # type: ignore[override]
        """Read the last call of a key, None when there is none."""
        return self._find(key)

    def __contains__(self, key: object) -> bool:
        """Say whether there is a call of a key."""
        return isinstance(key, str) and self._find(key) is not None

    def __iter__(self) -> Iterator[str]:
        """Yield every key once."""
        seen: set[str] = set()
        for number in np.argsort(self._places[:, 0], kind="stable"):
            call = self._read(int(number))
            if call is not None and call.key not in seen:
                seen.add(call.key)
                yield call.key

    def __len__(self) -> int:
        """Count the keys, but for two in 2**64."""
        return int(np.unique(self._marks).size)

    def _find(self, key: str) -> SavedCall | None:
        mark = _mark(key)
        at = int(np.searchsorted(self._marks, np.uint64(mark), side="right")) - 1
        while at >= 0 and self._marks[at] == mark:
            call = self._read(at)
            if call is not None and call.key == key:
                return call
            at -= 1
        return None

    def _read(self, at: int) -> SavedCall | None:
        """Return a call, None for a line that an older version wrote in another shape."""
        start, end = self._places[at].tolist()
        try:
            return self._decode(os.pread(self._descriptor, end - start, start))
        except msgspec.ValidationError:
            return None


def _index(file: BinaryIO) -> tuple[Marks, Marks]:
    """Return the mark of each good line's key, and where the line begins and ends."""
    decode = msgspec.json.Decoder(_Named).decode
    marks, places = array("Q"), array("Q")
    start = 0
    for line in file:
        end = start + len(line)
        try:
            marks.append(_mark(decode(line).key))
            places.append(start)
            places.append(end)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        start = end
    return np.array(marks, np.uint64), np.array(places, np.uint64).reshape(-1, 2)


def _mark(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")
