"""Cut logs into shares that can be read apart, by several workers: files, or lines of a large one.

A log is cut only where its reader says that each line stands for itself (`by_line`), and where its
bytes are its lines: not packed, UTF-8, one JSON value a line. What belongs together is one share.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from msgspec import Struct

from stepdown.adapters.logs.detect import ReadsTogether, detect
from stepdown.adapters.logs.records import is_document
from stepdown.adapters.logs.source import GZIP, UTF16, ZSTD, Source
from stepdown.errors import DataError
from stepdown.ports.log_reader import LogReader

BLOCK_BYTES = 1 << 22
PACKED_LIKE = 8  # a packed byte is about as much work as so many plain ones


class Share(Struct, frozen=True):
    """Logs for one worker; with `end`, the lines of one between two bytes of it.

    `logs` are name, path and how it is called in messages. `work` is how many bytes there are, as
    if they were plain.
    """

    logs: tuple[tuple[str, Path, str], ...]
    work: int
    start: int = 0
    end: int | None = None
    lines_before: int = 0

    def sources(self) -> list[Source]:
        """Return the logs to be read."""
        if self.end is None:
            return [Source(name, path, shown=shown) for name, path, shown in self.logs]
        return [Lines(self, *log) for log in self.logs]


class Lines(Source):
    """Some lines of a file."""

    def __init__(self, share: Share, name: str, path: Path, shown: str) -> None:
        super().__init__(name, path, shown=shown)
        self._share, self._file = share, path
        self.lines_before = share.lines_before

    def open(self) -> IO[bytes]:
        """Open it at the first of its lines."""
        with self._translated():
            raw = self._file.open("rb", buffering=0)
        raw.seek(self._share.start)
        size = (self._share.end or 0) - self._share.start
        return cast("IO[bytes]", io.BufferedReader(_Limited(raw, size), 1 << 17))


def shares_of(
    logs: Sequence[Source | Path], known: Sequence[LogReader], least_bytes: int
) -> list[Share]:
    """Return the shares of logs that are files, of about `least_bytes` at least.

    One that nobody can read is a share too: whoever reads it says why.
    """
    shares: list[Share] = []
    together: dict[int, list[Source]] = {}
    for log in map(_source, logs):
        reader = _reader(log, known)
        if reader is not None and isinstance(reader, ReadsTogether):
            together.setdefault(known.index(reader), []).append(log)
        elif reader is not None and is_cut_by_line(log, reader):
            shares += _slices(log, least_bytes)
        else:
            shares.append(_whole([log]))
    return shares + [_whole(logs) for logs in together.values()]


def is_cut_by_line(log: Source, reader: LogReader) -> bool:
    """Tell whether the lines of a log can be read apart."""
    if not getattr(reader, "by_line", False) or log.path is None:
        return False
    with log.path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] in (GZIP, *UTF16) or magic == ZSTD:
        return False
    head = log.head()
    return head.lstrip()[:1] == b"{" and not is_document(head)


def _source(log: Source | Path) -> Source:
    return Source(log.name, log) if isinstance(log, Path) else log


def _reader(log: Source, known: Sequence[LogReader]) -> LogReader | None:
    try:
        return detect(log, known)
    except DataError:
        return None


def _whole(logs: Sequence[Source]) -> Share:
    return Share(tuple(map(_said, logs)), sum(map(work_of, logs)))


def _said(log: Source) -> tuple[str, Path, str]:
    assert log.path is not None
    return log.name, log.path, str(log)


def work_of(log: Source | Path) -> int:
    """Return about how many bytes of text a file holds, 0 for a stream."""
    path = log if isinstance(log, Path) else log.path
    if path is None or not path.is_file():
        return 0
    with path.open("rb") as file:
        magic = file.read(4)
    packed = magic[:2] == GZIP or magic == ZSTD
    return path.stat().st_size * (PACKED_LIKE if packed else 1)


def _slices(log: Source, least_bytes: int) -> Iterator[Share]:
    assert log.path is not None
    start = lines_before = 0
    for end, lines in _borders(log.path, least_bytes):
        yield Share((_said(log),), end - start, start, end, lines_before)
        start, lines_before = end, lines


def _borders(path: Path, least_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield where lines end about every so many bytes, and how many lines there are up to it."""
    at = lines = last = 0
    with path.open("rb") as file:
        while block := file.read(min(BLOCK_BYTES, least_bytes)):
            newlines = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == _NEWLINE)
            if at + len(block) - last >= least_bytes and len(newlines):
                last = at + int(newlines[-1]) + 1
                yield last, lines + len(newlines)
            at += len(block)
            lines += len(newlines)
    if at > last:
        yield at, lines


_NEWLINE = ord("\n")


class _Limited(io.RawIOBase):
    """The next so many bytes of a file."""

    def __init__(self, raw: Any, size: int) -> None:
        self._raw, self._left = raw, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._left]
        got = self._raw.readinto(view) if self._left else 0
        self._left -= got
        return int(got)

    def close(self) -> None:
        self._raw.close()
        super().close()
