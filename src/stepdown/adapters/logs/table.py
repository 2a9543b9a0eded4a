"""A plain table of calls: CSV, flat JSON lines or Parquet with named columns.

Ours; it follows no vendor. Columns are found by their usual names (`ALIASES`) or by the mapping
that the user gives ({our field: their column}). All but a model or a token count may be missing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.logs.heads import first_objects
from stepdown.adapters.logs.lines import as_batch, excerpt, open_bytes, read_lines
from stepdown.adapters.logs.moments import iso
from stepdown.core.request import Message, Usage
from stepdown.core.usage_log import Batch, LoggedCall, Refused
from stepdown.errors import DataError

PARQUET = b"PAR1"
ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "request_id", "call_id"),
    "at": ("at", "timestamp", "time", "created", "created_at", "date"),
    "provider": ("provider",),
    "model": ("model", "model_name", "model_id"),
    "step": ("step", "step_name", "task", "task_name"),
    "session": ("session", "session_id", "message_id", "conversation_id", "trace_id"),
    "input": ("input", "prompt"),
    "system": ("system", "system_prompt"),
    "answer": ("answer", "output", "completion", "response"),
    "input_tokens": ("input_tokens", "prompt_tokens", "tokens_in"),
    "output_tokens": ("output_tokens", "completion_tokens", "tokens_out"),
    "cached_tokens": ("cached_tokens", "cache_read_tokens", "cached_input_tokens"),
    "latency_s": ("latency_s", "duration_s", "latency_seconds"),
    "latency_ms": ("latency_ms", "duration_ms"),
    "cost_usd": ("cost_usd", "cost", "total_cost", "response_cost", "spend"),
    "status": ("status",),
}
_COUNTS = ("input_tokens", "output_tokens", "cached_tokens")
_AMOUNTS = ("latency_s", "latency_ms", "cost_usd")
_TELLING = ("input_tokens", "output_tokens", "cost_usd")

Row = Mapping[str, Any]


class Table:
    """Read a table; `step` names every call, `columns` maps our fields to the user's columns."""

    name = "Table with named columns (CSV, JSON lines, Parquet)"

    def __init__(self, step: str | None = None, columns: Mapping[str, str] | None = None) -> None:
        if unknown := set(columns or ()) - set(ALIASES):
            raise DataError(
                f"A log table has no field {min(unknown)!r}.",
                f"Known fields: {', '.join(ALIASES)}.",
            )
        self.step = step
        self.columns = dict(columns or {})

    def accepts(self, first: bytes) -> bool:
        """Tell whether the first bytes are Parquet or name columns of a call."""
        if first.startswith(PARQUET):
            return True
        rows = first_objects(first)
        return self._tells(set(rows[0]) if rows else _header(first))

    def read(self, path: Path, *, batch_rows: int = 4096) -> Iterator[Batch]:
        """Yield the file's rows in batches; a broken row is refused with its line."""
        with open_bytes(path) as stream:
            first = stream.read(1)
        if first == b"P" and _is_parquet(path):
            return self._rows_in_batches(path, _parquet_rows(path, batch_rows), batch_rows)
        if first == b"{":
            return read_lines(path, self._parse, batch_rows, self._known())
        return self._rows_in_batches(path, _csv_rows(path), batch_rows)

    def _tells(self, names: set[str]) -> bool:
        found = {field for field in ALIASES if self._column(field, names)}
        return "model" in found and bool(found & set(_TELLING))

    def _known(self) -> frozenset[str]:
        aliases = {alias for names in ALIASES.values() for alias in names}
        return frozenset(aliases | set(self.columns.values()))

    def _column(self, field: str, names: set[str]) -> str | None:
        if field in self.columns:
            return self.columns[field] if self.columns[field] in names else None
        return next((alias for alias in ALIASES[field] if alias in names), None)

    def _parse(self, line: bytes, place: str) -> list[LoggedCall]:
        row = msgspec.json.decode(line)
        if not isinstance(row, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 - a line's fault, not the caller's
        return [self._call(row, place)]

    def _rows_in_batches(
        self, path: Path, rows: Iterator[tuple[int, Row]], batch_rows: int
    ) -> Iterator[Batch]:
        calls: list[LoggedCall] = []
        refused: list[Refused] = []
        unknown: set[str] | None = None
        for line, row in rows:
            unknown = set(map(str, row)) - self._known() if unknown is None else unknown
            try:
                calls.append(self._call(row, f"{path.name}:{line}"))
            except ValueError as error:
                shown = excerpt(repr(dict(row)).encode())
                refused.append(Refused(str(path), line, str(error), shown))
            if len(calls) + len(refused) >= batch_rows:
                yield as_batch(calls, refused, sorted(unknown))
                calls, refused = [], []
        if calls or refused:
            yield as_batch(calls, refused, sorted(unknown or ()))

    def _call(self, row: Row, place: str) -> LoggedCall:
        values = {field: self._value(field, row) for field in ALIASES}
        if values["model"] is None and all(values[name] is None for name in _TELLING):
            raise ValueError("neither a model nor tokens nor a cost")
        return LoggedCall(
            id=_text(values["id"]) or place,
            at=_when(values["at"]),
            provider=_text(values["provider"]),
            model=_text(values["model"]),
            step=self.step or _text(values["step"]),
            step_rule="flag" if self.step else ("column step" if values["step"] else None),
            session=_text(values["session"]),
            messages=_messages(values),
            answer=_text(values["answer"]),
            usage=Usage(**{name: values[name] for name in _COUNTS}),
            latency_s=_latency(values),
            cost_usd=values["cost_usd"],
            status=_status(values["status"]),
            source=place,
        )

    def _value(self, field: str, row: Row) -> Any:
        column = self._column(field, set(row))
        value = None if column is None else row[column]
        if value is None or value == "":
            return None
        if field in _COUNTS:
            return _number(field, value, _whole)
        return _number(field, value, float) if field in _AMOUNTS else value


def _header(first: bytes) -> set[str]:
    text = first.split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    return {name.strip() for row in csv.reader([text]) for name in row}


def _csv_rows(path: Path) -> Iterator[tuple[int, Row]]:
    with open_bytes(path) as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")
        reader = csv.DictReader(text)
        for row in reader:
            whole = {name: value for name, value in row.items() if name is not None}
            yield reader.line_num, whole


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == PARQUET


def _parquet_rows(path: Path, batch_rows: int) -> Iterator[tuple[int, Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=batch_rows)
            rows = (row for batch in batches for row in batch.to_pylist())
            yield from enumerate(rows, 1)
    except pa.ArrowException as error:
        raise DataError(
            f"{path}: not a whole Parquet file: {error}.", "Export it again."
        ) from error


def _number(field: str, value: Any, convert: Callable[[Any], float]) -> float:
    try:
        number = convert(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{field} is no number: {value!r}") from error
    if not 0 <= number < float("inf"):
        raise ValueError(f"{field} must not be negative or endless: {value!r}")
    return number


def _when(value: Any) -> str | None:
    if isinstance(value, datetime):
        return iso(value.isoformat())
    if value is None or isinstance(value, str | int | float):
        return iso(value)
    raise ValueError(f"not a time: {value!r}")


def _whole(value: Any) -> int:
    number = float(value)
    if not number.is_integer():
        raise ValueError(value)
    return int(number)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _messages(values: Mapping[str, Any]) -> tuple[Message, ...] | None:
    if values["input"] is None:
        return None
    said = Message("user", str(values["input"]))
    return (said,) if values["system"] is None else (Message("system", str(values["system"])), said)


def _latency(values: Mapping[str, Any]) -> float | None:
    known: float | None = values["latency_s"]
    return values["latency_ms"] / 1000 if known is None and values["latency_ms"] else known


def _status(value: Any) -> str:
    if value is None or str(value).lower() in ("ok", "success", "200", "completed"):
        return "ok"
    return str(value)
