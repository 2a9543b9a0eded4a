"""Move what is in the spool into the database, in batches; remove a file after its commit.

One filler at a time (a lock beside the database). A file that is read twice does no harm: the
database ignores a trace that it has.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import msgspec

from stepdown.adapters.storage.beside_rows import MARK, decode_beside
from stepdown.adapters.storage.database import Entry, insert
from stepdown.adapters.storage.rows import decode_trace, fits
from stepdown.adapters.storage.spool import BAD, Line, finished, read_lines, segments
from stepdown.errors import DataError

BATCH = 500  # traces in one transaction: some 25 ms, and the most that is held in memory
_POLL_S = 0.01


@contextmanager
def only_filler(lock: Path, wait_s: float) -> Iterator[bool]:
    """Hold the filler's lock; yield False when somebody else kept it for `wait_s`."""
    fd = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        yield _take(fd, wait_s)
    finally:
        os.close(fd)


def _take(fd: int, wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_S)
        else:
            return True


def fill(db: sqlite3.Connection, directory: Path, *, unfinished: bool) -> int:
    """Move every finished file of the spool; return how many traces were new.

    `unfinished` also reads what other processes are still writing to, and leaves it there.
    """
    return sum(_fill_from(db, path, unfinished=unfinished) for path in segments(directory))


def _fill_from(db: sqlite3.Connection, path: Path, *, unfinished: bool) -> int:
    with path.open("rb") as file:
        done = finished(file)  # asked first: a file that ends after this may hold more lines
        if not done and not unfinished:
            return 0
        bad: list[bytes] = []
        new = sum(insert(db, entries) for entries in _batches(read_lines(file), bad))
    if done:
        _set_aside(path, bad)
        path.unlink()
    return new


def _batches(lines: Iterator[Line], bad: list[bytes]) -> Iterator[list[Entry]]:
    while taken := list(islice(lines, BATCH)):
        entries = [(line, _entry(line)) for line in taken]
        bad += [line.raw for line, entry in entries if entry is None]
        yield [entry for _, entry in entries if entry is not None]


def _entry(line: Line) -> Entry | None:
    """Return the trace or record of a line, None when it is torn, altered, or neither."""
    if line.payload is None:
        return None
    try:
        text = line.payload.decode()
        if text.startswith(MARK):
            return Entry(decode_beside(text), text)
        trace = decode_trace(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Entry(trace, text) if fits(trace) else None


def _set_aside(path: Path, bad: list[bytes]) -> None:
    """Keep broken lines beside the spool; written anew each time, so never twice."""
    if not bad:
        return
    flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(path.with_suffix(BAD), flags, 0o600), "wb") as file:
        file.writelines(line.rstrip(b"\n") + b"\n" for line in bad)


def count_lines(directory: Path, suffix: str) -> int:
    """Return the number of lines in the files of this suffix."""
    return sum(_lines_in(path) for path in directory.glob(f"*{suffix}"))


def _lines_in(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(1 for _ in read_lines(file))
    except FileNotFoundError:  # moved into the database while we looked
        return 0


def busy(path: Path) -> DataError:
    """Return the error for a filler that does not let go of its lock."""
    return DataError(
        f"another process has been filling the ledger in {path} for too long.",
        "Nothing is lost: the spool keeps it. Stop that process, then try again.",
    )
