"""Read a file line by line with its numbers, plain or gzip; a broken line does not end it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, cast

import msgspec

from stepdown.core.usage_log import Batch, LoggedCall, Refused
from stepdown.errors import DataError

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
HEAD_BYTES = 1 << 16
LONGEST_LINE_BYTES = 64 << 20
EXCERPT_CHARS = 80
LOOK_EVERY = 64

Parse = Callable[[bytes, str], Iterable[LoggedCall]]


def first_bytes(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked, without a byte order mark.

    Raises:
        DataError: the file cannot be read or unpacked.
    """
    try:
        with open_bytes(path) as stream:
            head = stream.read(HEAD_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}.", "Check the path.") from error
    return head.removeprefix(b"\xef\xbb\xbf")


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file that is plain or gzip, by its first bytes.

    Raises:
        DataError: the file is packed in another way.
        OSError: it cannot be opened.
    """
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic == ZSTD:
        raise DataError(f"{path}: zstd files are not read yet.", "Unpack it: zstd -d FILE")
    if magic[:2] == GZIP:
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def read_lines(
    path: Path, parse: Parse, batch_rows: int, known: frozenset[str] = frozenset()
) -> Iterator[Batch]:
    """Yield batches of what `parse` makes of each line; a line that it refuses is counted.

    `parse` gets a line and its place (`file:line`) and raises ValueError or msgspec's errors.
    `known` are a line's known keys; every 64th line is looked at for others.
    """
    calls: list[LoggedCall] = []
    refused: list[Refused] = []
    unknown: set[str] = set()
    for number, line in _numbered(path, refused):
        calls += _parsed(line, parse, path, number, refused)
        if known and number % LOOK_EVERY == 1:
            unknown |= _keys(line) - known
        if len(calls) + len(refused) >= batch_rows:
            yield as_batch(calls, refused, sorted(unknown))
            calls, unknown = [], set()
            refused.clear()  # in place: the source of the lines adds to it too
    if calls or refused:
        yield as_batch(calls, refused, sorted(unknown))


def as_batch(
    calls: list[LoggedCall], refused: list[Refused], unknown_fields: Iterable[str] = ()
) -> Batch:
    """Turn rows into columns."""
    names = LoggedCall.__struct_fields__ if calls else ()
    columns = {name: [getattr(call, name) for call in calls] for name in names}
    return Batch(columns, tuple(refused), tuple(unknown_fields))


def excerpt(line: bytes) -> str:
    """Return the beginning of a line, for a person to find it."""
    text = line[: EXCERPT_CHARS * 4].decode("utf-8", "replace").strip()
    return text[:EXCERPT_CHARS]


def _parsed(
    line: bytes, parse: Parse, path: Path, number: int, refused: list[Refused]
) -> list[LoggedCall]:
    if not line.strip():
        return []
    try:
        return list(parse(line, f"{path.name}:{number}"))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        refused.append(Refused(str(path), number, _reason(error), excerpt(line)))
        return []


def _reason(error: Exception) -> str:
    text = str(error)
    return f"not JSON: {text}" if type(error) is msgspec.DecodeError else text


def _keys(line: bytes) -> set[str]:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return set()
    return set(value) if isinstance(value, dict) else set()


def _numbered(path: Path, refused: list[Refused]) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with open_bytes(path) as stream:
            while line := stream.readline(LONGEST_LINE_BYTES):
                number += 1
                if len(line) == LONGEST_LINE_BYTES and not line.endswith(b"\n"):
                    _skip_line(stream)
                    why = f"longer than {LONGEST_LINE_BYTES >> 20} MiB"
                    refused.append(Refused(str(path), number, why, excerpt(line)))
                    continue
                yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        why = f"the packed file ends early or is damaged: {error}"
        refused.append(Refused(str(path), number + 1, why))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}.", "Check the path.") from error


def _skip_line(stream: IO[bytes]) -> None:
    while (rest := stream.readline(LONGEST_LINE_BYTES)) and not rest.endswith(b"\n"):
        pass
