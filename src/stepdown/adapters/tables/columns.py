"""Read a table in batches of whole columns, for files with very many rows.

The same parsers as `rows`, so that both read the same cells; only without a row's place. A file
that this cannot read is left to `rows`, which says what is wrong, and on which line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from stepdown.adapters.tables.rows import kind_of

BATCH_ROWS = 1 << 15
Batch: TypeAlias = dict[str, Any]  # column name -> list of cells, or a pyarrow.Array
Floats: TypeAlias = NDArray[np.float64]


class Unread(ValueError):
    """The batch holds what only the reader of rows can explain."""


def read_batches(path: Path) -> Iterator[Batch]:
    """Yield batches of columns; memory does not grow with the file.

    Raises:
        Unread: something is wrong with the file, or only unusual.
        DataError: an unknown ending.
    """
    read = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}[kind_of(path)]
    try:
        yield from read(path)
    except (OSError, UnicodeDecodeError, csv.Error, msgspec.MsgspecError, RecursionError) as error:
        raise Unread(str(error)) from error


def _parquet(path: Path) -> Iterator[Batch]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if len(set(names)) != len(names):
                raise Unread("a column stands there twice")
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                yield dict(zip(names, batch.columns, strict=True))
    except pyarrow.ArrowException as error:
        raise Unread(str(error)) from error


def _csv(path: Path) -> Iterator[Batch]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        names = next(reader, [])
        if len(set(names)) != len(names):
            raise Unread("a column stands there twice")
        while rows := list(islice(reader, BATCH_ROWS)):
            whole = [row for row in rows if row]
            if any(len(row) != len(names) for row in whole):
                raise Unread("the number of cells differs from the header's")
            if whole:
                yield dict(zip(names, map(list, zip(*whole, strict=True)), strict=True))


def _jsonl(path: Path) -> Iterator[Batch]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with path.open("rb") as file:
        first = file.readline()
        rows = [decode(first.removeprefix(b"\xef\xbb\xbf"))] if first.strip() else []
        while lines := list(islice(file, BATCH_ROWS)):
            rows += [decode(line) for line in lines if line.strip()]
            yield _columns(rows)
            rows = []
        if rows:
            yield _columns(rows)


def _columns(rows: Sequence[dict[str, Any]]) -> Batch:
    if not all(rows):
        raise Unread("an empty object")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def size_of(batch: Batch) -> int:
    """Return the number of rows of a batch."""
    return len(next(iter(batch.values()))) if batch else 0


def numbers(column: Any) -> Floats:
    """Return cells as numbers, NaN where a cell is empty.

    Raises:
        Unread: a cell is not a finite number.
    """
    known = _arrow_numbers(column)
    if known is None:
        known = _plain_numbers(cells(column))
    return known


def _arrow_numbers(column: Any) -> Floats | None:
    """Return a column of Parquet's own numbers, None where it is of another kind."""
    if isinstance(column, list):
        return None
    import pyarrow

    if pyarrow.types.is_null(column.type):
        return np.full(len(column), np.nan)
    kinds = (pyarrow.types.is_integer, pyarrow.types.is_float32, pyarrow.types.is_float64)
    if not any(is_kind(column.type) for is_kind in kinds):
        return None
    found = column.cast(pyarrow.float64(), safe=False).to_numpy(zero_copy_only=False)
    values = np.asarray(found, dtype=float)
    if int(np.isfinite(values).sum()) != len(column) - column.null_count:
        raise Unread("a cell is not finite")
    return values


def _plain_numbers(column: Sequence[Any]) -> Floats:
    empty = [value is None or value == "" for value in column]
    try:
        plain = [np.nan if void else float(v) for v, void in zip(column, empty, strict=True)]
    except (TypeError, ValueError, OverflowError) as error:
        raise Unread(str(error)) from error
    values = np.array(plain, dtype=float)
    if not np.array_equal(~np.isfinite(values), empty):
        raise Unread("a cell is not finite")
    return values


def texts(column: Any) -> list[str | None]:
    """Return cells as texts, None where a cell is empty."""
    found = cells(column)
    if set(map(type, found)) <= {str, type(None)}:
        return [value or None for value in found]
    return [None if value is None or value == "" else str(value) for value in found]


def cells(column: Any) -> list[Any]:
    """Return the cells as the reader of rows has them."""
    if isinstance(column, list):
        return column
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    found: list[Any] = column.to_pylist()
    return found
