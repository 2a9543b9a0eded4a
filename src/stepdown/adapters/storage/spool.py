"""The spool: one file per process, one line per trace, a checksum in each line.

A line is the JSON array `["CRC32 in hex", trace]`. A writer holds a lock on its file for as long
as it may write there, so a file without a lock is finished, whether its process rotated it or
died. What it does not survive: a loss of power (lines are not synced one by one).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from msgspec import Struct

ROOM_BYTES = 1 << 20  # of one file: some thousand traces
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
    """Yield the lines of a spool file; a last line without its end is broken.

    A zero byte is the room that its process had left when it died.
    """
    for raw in file:
        if raw.startswith(b"\0"):
            return
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
    """Append lines to this process's spool file; safe to call from several threads.

    The file has its room from the start and is written through memory: what was copied there is the
    system's and survives a kill, as what was written would, and no other thread of the interpreter
    gets in between, as it may around a call of the system.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._name = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._number = 0
        self._lock = threading.Lock()
        self._fd = -1
        self._room: mmap.mmap | None = None
        self._end = 0

    def append(self, payload: bytes) -> None:
        """Append one line. Its first byte comes last: until then readers see the end of the file.

        Raises:
            OSError: there is no room for another file; nothing is lost but this line.
        """
        line = seal(payload)
        with self._lock:
            room = self._room
            if room is None or self._end + len(line) > len(room):
                _release(*self._taken())  # nearly full: to cut it would take the answer's time
                room = self._open(len(line))
            start, self._end = self._end, self._end + len(line)
            room[start + 1 : self._end] = line[1:]
            room[start] = line[0]

    def rotate(self) -> None:
        """Finish the present file, if anything is in it; the next line starts a new one.

        It is cut to what is in it, which takes milliseconds: no line waits for that.
        """
        with self._lock:
            fd, room, end = self._taken() if self._end else (-1, None, 0)
        _release(fd, room, end, cut=True)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            fd, room, end = self._taken()
        _release(fd, room, end, cut=True)

    def _taken(self) -> tuple[int, mmap.mmap | None, int]:
        """Return the present file, which is this writer's no more."""
        taken = self._fd, self._room, self._end
        self._fd, self._room, self._end = -1, None, 0
        return taken

    def _open(self, least: int) -> mmap.mmap:
        """Open the next file, a smaller one where the disk has no more room."""
        sizes = [size for size in (ROOM_BYTES, ROOM_BYTES // 16) if size > least]
        for size in sizes:
            with suppress(OSError):
                return self._opened(size)
        return self._opened(least)

    def _opened(self, size: int) -> mmap.mmap:
        """Open a file; it is locked before it has a name that others look for."""
        self._number += 1
        path = self._directory / f"{self._name}-{self._number:08d}{SUFFIX}"
        hidden = path.with_suffix(".new")
        fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _reserve(fd, size)
            self._room = mmap.mmap(fd, size)
            hidden.rename(path)
        except BaseException:
            self._room = None
            os.close(fd)
            hidden.unlink(missing_ok=True)
            raise
        self._fd = fd
        return self._room


def _release(fd: int, room: mmap.mmap | None, end: int, *, cut: bool = False) -> None:
    """Let go of a file, and with it of the lock: it may be removed from now on."""
    if room is None:
        return
    room.close()
    try:
        if cut:
            os.ftruncate(fd, end)
    finally:
        os.close(fd)


def _reserve(fd: int, size: int) -> None:
    """Give a file its room on the disk, so that a full disk is an error here and not later."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:  # macOS
        os.pwrite(fd, bytes(size), 0)
