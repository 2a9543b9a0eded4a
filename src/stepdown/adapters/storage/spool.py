"""The spool: one file per process, one line and one `write()` per trace, a checksum in each line.

A line is the JSON array `["CRC32 in hex", trace]`. A writer holds a lock on its file for as long
as it may write there, so a file without a lock is finished, whether its process rotated it or
died. What it does not survive: a loss of power (lines are not synced one by one).
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from msgspec import Struct

SUFFIX = ".jsonl"
BAD = ".bad"
_HEAD = len('["00000000",')
_TAIL = len("]\n")


class Line(Struct, frozen=True):
    """One complete line of a spool file; `payload` is None when the line is broken."""

    raw: bytes
    payload: bytes | None


def seal(payload: bytes) -> bytes:
    """Return the spool line that carries `payload` (JSON without a new line in it)."""
    return b'["%08x",%b]\n' % (crc32(payload), payload)


def unseal(line: bytes) -> bytes | None:
    """Return the payload of a line, or None when the line is torn or altered."""
    payload = line[_HEAD:-_TAIL]
    return payload if payload and seal(payload) == line else None


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """Yield the lines of a spool file; a last line without its end is broken."""
    for raw in file:
        if raw != b"\n":  # what ends a line that a full disk cut off
            yield Line(raw, unseal(raw))


def finished(file: BinaryIO) -> bool:
    """Return whether nobody can write to `file` any more."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def segments(directory: Path) -> list[Path]:
    """Return the spool files in the order of their names (per process: of time)."""
    return sorted(directory.glob(f"*{SUFFIX}"))


class SpoolWriter:
    """Append lines to this process's spool file; safe to call from several threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._number = 0
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._used = False
        self._cut = False

    def append(self, payload: bytes) -> None:
        """Append one line with one `write()`.

        Raises:
            OSError: the line is not in the spool as a whole; nothing is lost but this line.
        """
        line = seal(payload)
        with self._lock:
            if self._fd is None:
                self._fd = self._open()
            line = b"\n" + line if self._cut else line
            self._used = True
            self._cut = cut = os.write(self._fd, line) != len(line)
        if cut:
            raise OSError(f"the spool in {self._directory} took only a part of a line: disk full?")

    def rotate(self) -> None:
        """Finish the present file, if anything is in it; the next line starts a new one."""
        with self._lock:
            if self._used:
                self._finish()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._finish()

    def _finish(self) -> None:
        if self._fd is not None:
            os.close(self._fd)  # gives up the lock: the file may be removed from now on
        self._fd, self._used, self._cut = None, False, False

    def _open(self) -> int:
        """Open the next file; it is locked before it has a name that others look for."""
        self._number += 1
        path = self._directory / f"{self._name}-{self._number:08d}{SUFFIX}"
        hidden = path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(hidden, flags, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hidden.rename(path)
        return fd
