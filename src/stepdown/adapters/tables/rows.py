"""Read rows from JSON Lines, CSV and Parquet, one by one, each with its line number.

It does not know what the columns mean. Parquet has no lines: its rows are counted from 1.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from stepdown.errors import DataError

Row = tuple[int, dict[str, Any]]
BATCH_ROWS = 4096
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield (line, row); memory does not grow with the file.

    Raises:
        DataError: no such file, an unknown ending, or a broken line (named).
    """
    reader = _reader(path)
    try:
        _refuse_utf_16(path)
        yield from reader(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error.reason}.", "Save it as UTF-8.") from error


def _refuse_utf_16(path: Path) -> None:
    """Raise a DataError for a file that begins as UTF-16: what PowerShell and Excel write."""
    with path.open("rb") as file:
        if file.read(2) in UTF_16_MARKS:
            raise DataError(f"{path} is in UTF-16.", "Save it as UTF-8.")


def kind_of(path: Path) -> str:
    """Return `jsonl`, `csv` or `parquet` by the ending of a file name.

    Raises:
        DataError: another ending.
    """
    kinds = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
    if path.suffix.lower() not in kinds:
        raise DataError(
            f"{path}: {path.suffix or 'a name without ending'} is not a table that can be read.",
            "Use .jsonl, .csv or .parquet.",
        )
    return kinds[path.suffix.lower()]


def _reader(path: Path) -> Callable[[Path], Iterator[Row]]:
    return {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}[kind_of(path)]


def _jsonl(path: Path) -> Iterator[Row]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            try:
                yield line, decode(raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise DataError(
                    f"{path}, line {line}: not a JSON object: {error}.",
                    "Every line must hold one whole object.",
                ) from error


def _csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            _check_header(path, list(reader.fieldnames or ()))
            for row in reader:
                yield reader.line_num, _whole(path, reader.line_num, row)
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: broken CSV: {error}.") from error


def _check_header(path: Path, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}, line 1: the column {twice[0]!r} stands there twice.")


def _whole(path: Path, line: int, row: Mapping[Any, Any]) -> dict[str, Any]:
    """Refuse a row that is longer or shorter than the header."""
    if None in row or None in row.values():
        raise DataError(
            f"{path}, line {line}: the number of cells differs from the header's.",
            "Quote cells that hold commas or line ends.",
        )
    return dict(row)


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    line = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for row in batch.to_pylist():
                    line += 1
                    yield line, row
    except pyarrow.ArrowException as error:
        raise DataError(
            f"{path}, after row {line}: broken Parquet: {str(error).rstrip('. ')}."
        ) from error
