"""Rows of a CSV file as JSON objects of their cells, so that one reader reads both forms of an
export. Cells may hold JSON.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import IO, Any

import msgspec

from stepdown.adapters.logs.records import Cutting, Unread, first_objects, values_in

CELL_BYTES = 16 << 20
SIGNS = (",", ";", "\t")


def first_rows(head: bytes) -> list[dict[str, Any]]:
    """Return the first objects of a log: JSON, or rows of CSV under their columns' names."""
    if head.lstrip()[:1] in (b"{", b"["):
        return first_objects(head)
    names = header(head)
    return [dict.fromkeys(names, "")] if len(names) > 1 else []


def header(head: bytes) -> list[str]:
    """Return the names in the first line of a CSV file."""
    text = head.split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    return [name.strip() for row in csv.reader([text], delimiter=_sign(head)) for name in row]


def cut_by(head: bytes) -> Callable[[IO[bytes], bytes], Iterator[Cutting]]:
    """Return how a log is cut into values: as JSON, or as CSV."""
    return values_in if head.lstrip()[:1] in (b"{", b"[") else csv_values


def csv_values(stream: IO[bytes], head: bytes) -> Iterator[Cutting]:
    """Yield each row as a JSON object of its cells, with its line."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    csv.field_size_limit(CELL_BYTES)
    reader = csv.reader(text, delimiter=_sign(head))
    encode = msgspec.json.Encoder().encode
    try:
        names = [name.strip() for name in next(reader, [])]
        for row in reader:
            if row:
                yield reader.line_num, encode(dict(zip(names, row, strict=False)))
    except csv.Error as error:  # what follows cannot be cut into rows
        yield Unread(reader.line_num, f"not CSV from here on: {error}")


def _sign(head: bytes) -> str:
    line = head.split(b"\n", 1)[0]
    return max(SIGNS, key=lambda sign: line.count(sign.encode()))
