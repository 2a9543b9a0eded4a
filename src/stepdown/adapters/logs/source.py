"""A log as bytes: a file or standard input; plain, gzip or zstd; UTF-8 or UTF-16. It is unpacked
while it is read, and it knows no format.
"""

from __future__ import annotations

import codecs
import gzip
import io
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from stepdown.errors import DataError
from stepdown.ports.log_reader import Log

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
SQLITE = b"SQLite format 3\0"
PARQUET = b"PAR1"
UTF8_MARK = b"\xef\xbb\xbf"
HEAD_BYTES = 1 << 18
# Byte order marks of UTF-16; what Windows writes with `>` in PowerShell.
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Source:
    """A log that can be opened: a path many times, a stream once (its head may be looked at)."""

    def __init__(
        self,
        name: str,
        path: Path | None,
        stream: IO[bytes] | None = None,
        shown: str | None = None,
    ) -> None:
        self.name = name
        self._shown = shown or (name if path is None else str(path))
        self.path = path
        self._stream = stream
        self._counted: _Counted | None = None
        self._head: bytes | None = None
        self._opened: IO[bytes] | None = None

    @classmethod
    def of(cls, log: Log | Path) -> Log:
        """Return a path as a source."""
        return cls(log.name, log) if isinstance(log, Path) else log

    @classmethod
    def stdin(cls, stream: IO[bytes]) -> Source:
        """Return standard input as a source."""
        return cls("standard input", None, stream)

    def __str__(self) -> str:
        return self._shown

    @property
    def position(self) -> int:
        """How many bytes of the file, packed as it is, were read so far."""
        return 0 if self._counted is None else self._counted.position

    def head(self) -> bytes:
        """Return the first bytes, unpacked, as UTF-8 without a byte order mark.

        Raises:
            DataError: it cannot be read or unpacked.
        """
        if self._head is None:
            with self._translated():
                self._head = self._look()
        return self._head.removeprefix(UTF8_MARK)

    def open(self) -> IO[bytes]:
        """Open it from the start, unpacked, as UTF-8.

        Raises:
            DataError: it cannot be opened, or it is a stream that was read already.
        """
        if self.path is not None:
            with self._translated():
                return self._unpacked(self.path.open("rb"))
        self.head()
        if self._opened is None:
            raise DataError(
                f"{self.name} can be read only once.", "Save it to a file and name the file."
            )
        rest, self._opened = self._opened, None
        return cast("IO[bytes]", io.BufferedReader(_Chained(self._head or b"", rest)))

    def kept(self, where: Path) -> Source:
        """Return a stream that nobody looked at as a file, packed as it is.

        Raises:
            DataError: it cannot be read or kept.
        """
        with self._translated(), where.open("wb") as copy:
            shutil.copyfileobj(cast("IO[bytes]", self._stream), copy, 1 << 20)
        return Source(self.name, where, shown=self.name)

    def _look(self) -> bytes:
        if self.path is not None:
            with self._unpacked(self.path.open("rb")) as stream:
                return _at_most(stream, HEAD_BYTES)
        self._opened = self._unpacked(cast("IO[bytes]", self._stream))
        return _at_most(self._opened, HEAD_BYTES)

    def _unpacked(self, raw: IO[bytes]) -> IO[bytes]:
        magic = _at_most(raw, 4)
        if self.path is not None:
            raw.seek(0)
            magic_back = b""
        else:
            magic_back = magic
        self._counted = _Counted(raw, magic_back)
        packed = io.BufferedReader(self._counted, 1 << 17)
        try:
            return _as_utf8(_unpack(magic, packed))
        except BaseException:
            packed.close()
            raise

    def _translated(self) -> _Translated:
        return _Translated(str(self))


def reopenable(log: Log, where: Path) -> Log:
    """Return a log that can be read more than once; a stream is kept in a file, unpacked."""
    if log.path is not None:
        return log
    with log.open() as stream, where.open("wb") as copy:
        shutil.copyfileobj(stream, copy)
    return Source(log.name, where)


class _Translated:
    """Turn what goes wrong in reading into an error that names the file."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DAMAGE):
            raise DataError(
                f"{self.name}: cannot be read: {error}.", "Check the path, or export it again."
            ) from error


def _damage() -> tuple[type[Exception], ...]:
    """Return what unpacking a damaged file raises; zstd's own error is a plain ValueError here."""
    return (OSError, EOFError, zlib.error)


DAMAGE = _damage()


class DamagedZstd(EOFError):
    """A zstd file that ends early or is damaged."""


def _unpack(magic: bytes, packed: IO[bytes]) -> IO[bytes]:
    if magic[:2] == GZIP:
        unpacked = gzip.GzipFile(fileobj=packed, mode="rb")
        unpacked.myfileobj = cast("Any", packed)  # closed with it, as a file that it opened itself
        return cast("IO[bytes]", io.BufferedReader(cast("Any", unpacked), 1 << 17))
    if magic == ZSTD:
        return cast("IO[bytes]", io.BufferedReader(_Zstd(packed), 1 << 17))
    return packed


def _as_utf8(plain: IO[bytes]) -> IO[bytes]:
    mark = cast("io.BufferedReader", plain).peek(4)[:4]
    if mark[:2] in UTF16:
        text = io.TextIOWrapper(plain, encoding="utf-16", errors="replace", newline="")
        return cast("IO[bytes]", io.BufferedReader(_Encoded(text)))
    return plain


def _at_most(stream: IO[bytes], size: int) -> bytes:
    """Read as much as there is, up to a size; a damaged end is left to the reader to tell."""
    found = bytearray()
    while len(found) < size:
        try:
            piece = stream.read(size - len(found))
        except DAMAGE:
            if found:
                break
            raise
        if not piece:
            break
        found += piece
    return bytes(found)


class _Raw(io.RawIOBase):
    """A stream of bytes by a function that returns some."""

    def readable(self) -> bool:
        return True

    def some(self, size: int) -> bytes:
        """Return at most `size` bytes, none at the end."""
        raise NotImplementedError

    def readinto(self, buffer: Any) -> int:
        piece = self.some(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class _Counted(_Raw):
    """The packed bytes, with those first that were read to tell the packing."""

    def __init__(self, raw: IO[bytes], before: bytes) -> None:
        self._raw, self._before, self.position = raw, before, 0

    def some(self, size: int) -> bytes:
        if self._before:
            piece, self._before = self._before[:size], self._before[size:]
        else:
            piece = self._raw.read(size) or b""
        self.position += len(piece)
        return piece

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Chained(_Raw):
    """A head that was looked at, then the rest."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = memoryview(head), rest

    def some(self, size: int) -> bytes:
        if self._head:
            piece, self._head = bytes(self._head[:size]), self._head[size:]
            return piece
        return self._rest.read(size) or b""


class _Zstd(_Raw):
    """Unpacked zstd, of one frame or many; an early end is told."""

    def __init__(self, packed: IO[bytes]) -> None:
        import zstandard

        self._failed = zstandard.ZstdError
        self._packed = packed
        self._new: Callable[[], Any] = zstandard.ZstdDecompressor().decompressobj
        self._frame = self._new()
        self._ready = memoryview(b"")
        self._begun = False

    def close(self) -> None:
        self._packed.close()
        super().close()

    def some(self, size: int) -> bytes:
        while not self._ready:
            if not self._more():
                return b""
        piece, self._ready = bytes(self._ready[:size]), self._ready[size:]
        return piece

    def _more(self) -> bool:
        packed = self._frame.unused_data if self._frame.eof else self._packed.read(1 << 16)
        if self._frame.eof:
            self._frame, self._begun = self._new(), False
            packed = packed or self._packed.read(1 << 16)
        if not packed:
            if self._begun:
                raise DamagedZstd("the zstd frame is not whole")
            return False
        self._begun = True
        try:
            self._ready = memoryview(self._frame.decompress(packed))
        except self._failed as error:
            raise DamagedZstd(str(error)) from error
        return True


class _Encoded(_Raw):
    """Text as UTF-8."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text, self._ready = text, b""

    def close(self) -> None:
        self._text.close()
        super().close()

    def some(self, size: int) -> bytes:
        if not self._ready:
            self._ready = self._text.read(1 << 16).encode("utf-8", "replace")
        piece, self._ready = self._ready[:size], self._ready[size:]
        return piece
