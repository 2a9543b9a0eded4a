"""Vectors kept by the text that they are of, so that none is paid for twice.

One file for each embedder and length: records of 32 bytes (SHA-256 of the text) and the vector as
little-endian float32. A batch is one `write()`; a kill tears at most the last record, which is cut
off at the next start. It does not know what embeds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stepdown.errors import DataError

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

KEY_BYTES = 32
PRIVATE = 0o600  # a vector tells something of its text


class VectorFiles:
    """Vectors in a folder, such as `.stepdown/vectors`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def known(self, embedder: str, texts: Sequence[str]) -> dict[str, NDArray[float32]]:
        """Return text -> vector of those that are kept for the embedder of that digest."""
        import numpy as np

        found: dict[str, NDArray[float32]] = {}
        wanted = {_key(text): text for text in texts}
        for path in sorted(self.folder.glob(f"{_name(embedder)}-*.f32")):
            width = int(path.stem.rpartition("-")[2])
            record = KEY_BYTES + 4 * width
            raw = path.read_bytes()
            for start in range(0, len(raw) - record + 1, record):
                text = wanted.get(raw[start : start + KEY_BYTES])
                if text is not None:
                    found[text] = np.frombuffer(raw, "<f4", width, start + KEY_BYTES)
        return found

    def keep(self, embedder: str, vectors: Mapping[str, NDArray[float32]]) -> None:
        """Keep vectors of one length.

        Raises:
            DataError: they cannot be written; what was kept before is safe.
        """
        if not vectors:
            return
        width = len(next(iter(vectors.values())))
        path = self.folder / f"{_name(embedder)}-{width}.f32"
        data = b"".join(_key(text) + row.astype("<f4").tobytes() for text, row in vectors.items())
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            written = _append(path, data, KEY_BYTES + 4 * width)
        except OSError as error:
            raise _unwritten(path, error.strerror or str(error)) from error
        if written != len(data):
            raise _unwritten(path, f"only {written} of {len(data)} bytes fit")


def _append(path: Path, data: bytes, record: int) -> int:
    """Append whole records behind the last whole one."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE)
    try:
        size = os.fstat(descriptor).st_size
        if size % record:
            os.ftruncate(descriptor, size - size % record)
        return os.write(descriptor, data)
    finally:
        os.close(descriptor)


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _name(embedder: str) -> str:
    return embedder.removeprefix("sha256:")[:32]


def _unwritten(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} could not be written: {why}.",
        "What had finished is safe; make room and run the same command again.",
    )
