"""Read a table row by row and go on after a broken one: it is yielded with its line and the reason.

For building a set out of somebody's file. Where a wrong row must stop everything, use `rows`.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from stepdown.adapters.tables.rows import kind_of, read_rows
from stepdown.errors import DataError

LONGEST_LINE_BYTES = 64 << 20
EXCERPT_CHARS = 80
MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class Broken(Struct, frozen=True):
    """A row that could not be read, and why."""

    why: str
    excerpt: str = ""


Found: TypeAlias = tuple[int, dict[str, Any] | Broken]


def read_leniently(path: Path, *, encoding: str = "utf-8") -> Iterator[Found]:
    """Yield (line, row or what was broken there); memory does not grow with the file.

    Raises:
        DataError: no such file, an unknown ending or encoding, a header that names a column twice,
            a file in UTF-16 that is read as another, or a broken Parquet file.
    """
    kind = kind_of(path)
    if kind == "parquet":
        yield from read_rows(path)
        return
    _check(path, encoding)
    try:
        yield from (_jsonl if kind == "jsonl" else _csv)(path, encoding)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _check(path: Path, encoding: str) -> None:
    try:
        codecs.lookup(encoding)
        with path.open("rb") as file:
            found = MARKS.get(file.read(2))
    except LookupError:
        raise DataError(
            f"There is no encoding {encoding!r}.", "Such as utf-8, utf-16, cp1252, latin-1."
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    if found is not None and not codecs.lookup(encoding).name.startswith("utf-16"):
        raise DataError(
            f"{path} is in UTF-16, and was to be read as {encoding}.",
            f"Add --encoding {found}, or save it as UTF-8.",
        )


def _jsonl(path: Path, encoding: str) -> Iterator[Found]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for number, line in enumerate(_lines(path, encoding), 1):
        if isinstance(line, Broken):
            yield number, line
        elif line.strip():
            try:
                yield number, decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                why = f"not a JSON object: {_reason(error, encoding)}"
                yield number, Broken(why, _excerpt(line))


def _lines(path: Path, encoding: str) -> Iterator[bytes | str | Broken]:
    """Yield lines, as bytes where they are UTF-8; one that is too long is broken."""
    if codecs.lookup(encoding).name != "utf-8":
        with path.open(encoding=encoding, errors="replace", newline="\n") as text:
            yield from text
        return
    with path.open("rb") as file:
        first = True
        while line := file.readline(LONGEST_LINE_BYTES):
            if len(line) == LONGEST_LINE_BYTES and not line.endswith(b"\n"):
                while (rest := file.readline(LONGEST_LINE_BYTES)) and not rest.endswith(b"\n"):
                    pass
                yield Broken(f"longer than {LONGEST_LINE_BYTES >> 20} MiB", _excerpt(line))
            else:
                yield line.removeprefix(codecs.BOM_UTF8) if first else line
            first = False


def _csv(path: Path, encoding: str) -> Iterator[Found]:
    plain = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    with path.open(encoding=plain, errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        names = next(reader, [])
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(f"{path}, line 1: the column {twice[0]!r} stands there twice.")
        while True:
            start = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield start, Broken(f"broken CSV: {error}")
                continue
            if cells:
                yield start, _whole(names, cells, encoding)


def _whole(names: Sequence[str], cells: Sequence[str], encoding: str) -> dict[str, Any] | Broken:
    if len(cells) != len(names):
        why = f"{len(cells)} cells, and the header has {len(names)}"
        return Broken(why, _excerpt(",".join(cells)))
    if any(not cell.isascii() and _undecoded(cell) for cell in cells):
        return Broken(f"not {encoding.upper()}", _excerpt(",".join(cells)))
    return dict(zip(names, cells, strict=True))


def _undecoded(cell: str) -> bool:
    return any("\udc80" <= letter <= "\udcff" for letter in cell)


def _reason(error: Exception, encoding: str) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not {encoding.upper()}: {error.reason}"
    return str(error)


def _excerpt(line: bytes | str) -> str:
    if isinstance(line, bytes):
        text = line[: EXCERPT_CHARS * 4].decode("utf-8", "replace")
    else:
        text = line.encode("utf-8", "replace").decode("utf-8", "replace")
    return text.strip()[:EXCERPT_CHARS]
