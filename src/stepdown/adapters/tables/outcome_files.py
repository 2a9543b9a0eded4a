"""The outcome table as Parquet, CSV or JSON Lines.

Columns: `query_id, tier, score, cost_usd, latency_s, signal.NAME..., answer, group, prompt,
segment, truth, failure`. An empty cell is unknown; in CSV an empty answer is unknown too.
"""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.tables.atomic import replacing
from stepdown.adapters.tables.rows import kind_of, read_rows
from stepdown.core.outcome import Outcome
from stepdown.errors import DataError

SIGNAL = "signal."
NEEDED = ("query_id", "tier")
NUMBERS = ("score", "cost_usd", "latency_s")
TEXTS = ("answer", "group", "prompt", "segment", "truth", "failure")
COLUMNS = (*NEEDED, *NUMBERS, *TEXTS)
Plain = dict[str, Any]


def read_outcomes(path: Path) -> list[Outcome]:
    """Return the outcomes in a file.

    Raises:
        DataError: a missing or unknown column, a cell that is not what its column holds, or a
            query with two outcomes of one tier; names file, line and column.
    """
    return list(iter_outcomes(path))


def iter_outcomes(path: Path) -> Iterator[Outcome]:
    """Yield the outcomes in a file one by one; raises as `read_outcomes` does."""
    seen: dict[tuple[str, str], int] = {}
    for line, row in read_rows(path):
        outcome = outcome_in(row, f"{path}, line {line}")
        refuse_twice(seen, outcome, path, line)
        yield outcome


def refuse_twice(seen: dict[tuple[str, str], int], outcome: Outcome, path: Path, line: int) -> None:
    """Refuse a second outcome of one query and tier; `seen` maps those so far to their lines."""
    first = seen.setdefault((outcome.query_id, outcome.tier), line)
    if first != line:
        raise DataError(
            f"{path}, line {line}: query {outcome.query_id!r} has an outcome of "
            f"{outcome.tier!r} on line {first} already."
        )


def write_outcomes(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Write the outcomes whole or not at all, in the format of the file's ending.

    Raises:
        DataError: an unknown ending, or a folder that cannot be written.
    """
    write = {"parquet": _write_parquet, "csv": _write_csv, "jsonl": _write_jsonl}[kind_of(path)]
    rows = [plain(outcome) for outcome in outcomes]
    with replacing(path) as temporary:
        write(temporary, rows)


def plain(outcome: Outcome) -> Plain:
    """Return an outcome as a flat row with every column that it knows."""
    row = {name: getattr(outcome, name) for name in COLUMNS}
    row |= {SIGNAL + name: value for name, value in sorted(outcome.signals.items())}
    return {name: value for name, value in row.items() if value is not None}


def outcome_in(row: Mapping[str, Any], at: str) -> Outcome:
    """Return the outcome in a row; `at` names its place in errors.

    Raises:
        DataError: an unknown column, an empty one that is needed, or a cell out of its range.
    """
    unknown = [name for name in row if name not in COLUMNS and not name.startswith(SIGNAL)]
    if unknown:
        raise DataError(f"{at}: unknown column {unknown[0]!r}.", _near(unknown[0]))
    signals = {n.removeprefix(SIGNAL): _number(row, n, at) for n in row if n.startswith(SIGNAL)}
    try:
        return Outcome(
            query_id=_needed(row, "query_id", at),
            tier=_needed(row, "tier", at),
            score=_number(row, "score", at),
            cost_usd=_number(row, "cost_usd", at),
            latency_s=_number(row, "latency_s", at),
            answer=_text(row, "answer"),
            group=_text(row, "group"),
            prompt=_text(row, "prompt"),
            segment=_text(row, "segment"),
            truth=_text(row, "truth"),
            failure=_text(row, "failure"),
            signals={name: value for name, value in signals.items() if value is not None},
        )
    except ValueError as error:
        raise DataError(f"{at}: {error}.", "Leave unknown cells empty.") from error


def _near(name: str) -> str:
    near = difflib.get_close_matches(name, COLUMNS, n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    return f"{guess}Known: {', '.join(COLUMNS)} and {SIGNAL}NAME."


def _needed(row: Mapping[str, Any], name: str, at: str) -> str:
    value = _text(row, name)
    if value is None:
        raise DataError(f"{at}: column {name!r} is empty or missing.")
    return value


def _text(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    return None if value is None or value == "" else str(value)


def _number(row: Mapping[str, Any], name: str, at: str) -> float | None:
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{at}: column {name!r} holds {value!r}, not a number.") from error
    if not math.isfinite(number):
        raise DataError(f"{at}: column {name!r} holds {value!r}.", "Leave unknown cells empty.")
    return number


def _header(rows: Sequence[Plain]) -> list[str]:
    signals = sorted({name for row in rows for name in row if name.startswith(SIGNAL)})
    return [*NEEDED, *NUMBERS, *signals, *TEXTS]


def _write_jsonl(path: Path, rows: Sequence[Plain]) -> None:
    with path.open("xb") as file:
        file.writelines(msgspec.json.encode(row) + b"\n" for row in rows)


def _write_csv(path: Path, rows: Sequence[Plain]) -> None:
    with path.open("x", encoding="utf-8", newline="") as file:
        # Line ends as in RFC 4180: with a bare line feed, cells that hold a return go unquoted.
        writer = csv.DictWriter(file, _header(rows), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(path: Path, rows: Sequence[Plain]) -> None:
    import pyarrow
    import pyarrow.parquet

    text, number = pyarrow.string(), pyarrow.float64()
    kinds = {name: text if name in (*NEEDED, *TEXTS) else number for name in _header(rows)}
    columns = {
        name: pyarrow.array([row.get(name) for row in rows], kind) for name, kind in kinds.items()
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
