"""A plain table of calls: CSV, flat JSON lines or Parquet with named columns.

Ours; it follows no vendor. Columns are found by their usual names (`ALIASES`) or by the mapping
that the user gives ({our field: their column}). All but a model, a token count or a cost may be
missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.logs.cells import amount, count, flag, mapping, word
from stepdown.adapters.logs.csv_rows import cut_by, first_rows
from stepdown.adapters.logs.moments import moment
from stepdown.adapters.logs.names import name_row
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading, read_values
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.said import messages_of, unpacked
from stepdown.adapters.logs.source import PARQUET, Source
from stepdown.adapters.logs.wire import PROCESSING
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Content
from stepdown.errors import DataError
from stepdown.ports.log_reader import Log

ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "request_id", "call_id"),
    "at": ("at", "timestamp", "time", "created", "created_at", "date", "start_time"),
    "provider": ("provider",),
    "model": ("model", "model_name", "model_id"),
    "step": ("step", "step_name", "task", "task_name"),
    "session": ("session", "session_id", "message_id", "conversation_id", "trace_id"),
    "user": ("user", "user_id"),
    "tags": ("tags",),
    "input": ("input", "prompt"),
    "system": ("system", "system_prompt"),
    "answer": ("answer", "output", "completion", "response"),
    "input_tokens": ("input_tokens", "prompt_tokens", "tokens_in"),
    "output_tokens": ("output_tokens", "completion_tokens", "tokens_out"),
    "cached_tokens": ("cached_tokens", "cache_read_tokens", "cached_input_tokens"),
    "cache_write_tokens": ("cache_write_tokens", "cache_creation_tokens"),
    "cache_write_1h_tokens": ("cache_write_1h_tokens",),
    "reasoning_tokens": ("reasoning_tokens",),
    "latency_s": ("latency_s", "duration_s", "latency_seconds"),
    "latency_ms": ("latency_ms", "duration_ms"),
    "first_token_s": ("first_token_s", "time_to_first_token_s", "ttft_s"),
    "cost_usd": ("cost_usd", "cost", "total_cost", "response_cost", "spend"),
    "processing": ("processing", "service_tier"),
    "status": ("status",),
    "error": ("error", "error_type"),
    "finish": ("finish", "finish_reason"),
    "max_tokens": ("max_tokens",),
    "temperature": ("temperature",),
    "stream": ("stream",),
    "tools": ("tools_count", "n_tools"),
    "retries": ("retries",),
}
# What users call our fields when they map them.
SHORT: Mapping[str, str] = {
    "cost": "cost_usd",
    "latency": "latency_s",
    "time": "at",
    "tokens_in": "input_tokens",
    "tokens_out": "output_tokens",
    "output": "answer",
}
_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "max_tokens",
    "tools",
    "retries",
)
_AMOUNTS = ("latency_s", "first_token_s", "cost_usd", "temperature")
_WORDS = ("id", "provider", "model", "session", "user", "finish")
_TELLING = ("input_tokens", "output_tokens", "cost_usd")
_OK = ("ok", "success", "succeeded", "200", "completed", "true")

Where = tuple[tuple[str, str], ...]


class Table:
    """Read a table; `step` names every call, `columns` maps our fields to the user's columns."""

    name = "Table with named columns (CSV, JSON lines, Parquet)"
    by_line = True

    def __init__(self, step: str | None = None, columns: Mapping[str, str] | None = None) -> None:
        columns = {SHORT.get(field, field): column for field, column in (columns or {}).items()}
        if unknown := set(columns) - set(ALIASES):
            raise DataError(
                f"A log table has no field {min(unknown)!r}.",
                f"Known fields: {', '.join(ALIASES)}.",
            )
        self.step = step
        self.columns = columns
        self._where = lru_cache(maxsize=64)(self._found_columns)

    def accepts(self, head: bytes) -> bool:
        """Tell whether the first bytes are Parquet or name columns of a call."""
        if head.startswith(PARQUET):
            return True
        rows = first_rows(head)
        return bool(rows) and self._tells(set(rows[0]))

    def read(self, log: Log | Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Yield the rows in batches; a broken one is refused with its line."""
        log = Source.of(log)
        if log.head().startswith(PARQUET):
            return self._parquet(log, batch_rows)
        shared: Any = {"form": self.name, "unpack": self._unpack, "batch_rows": batch_rows}
        cut = cut_by(log.head())
        return read_values(log, self._parse, known=self._known(), cut=cut, **shared)

    def _tells(self, names: set[str]) -> bool:
        found = {field for field, _ in self._where(tuple(sorted(names)))}
        return "model" in found and bool(found & set(_TELLING))

    def _known(self) -> frozenset[str]:
        aliases = {alias for names in ALIASES.values() for alias in names}
        return frozenset(aliases | set(self.columns.values()))

    def _found_columns(self, names: tuple[str, ...]) -> Where:
        """Return which of a row's columns holds which of our fields."""
        found = [(field, self._column(field, names)) for field in ALIASES]
        return tuple((field, column) for field, column in found if column is not None)

    def _column(self, field: str, names: tuple[str, ...]) -> str | None:
        if field in self.columns:
            return self.columns[field] if self.columns[field] in names else None
        return next((alias for alias in ALIASES[field] if alias in names), None)

    def _parse(self, value: bytes, reading: Reading) -> list[tuple[Row, Any]]:
        row = msgspec.json.decode(value)
        if not isinstance(row, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 - a line's fault, not the caller's
        return [(self._call(row), value)]

    def _parquet(self, log: Log, batch_rows: int) -> Iterator[Batch]:
        reading = Reading(log, self.name, self._content)
        for number, row in enumerate(_parquet_rows(log, batch_rows), 1):
            reading.line = number
            try:
                reading.add([(self._call(row), row)])
            except ValueError as error:
                reading.refuse(str(error), repr(row).encode())
            if number == 1:
                reading.unknown.update(set(map(str, row)) - self._known())
                reading.looked = 1
            if reading.is_full(batch_rows):
                yield reading.batch()
        yield from reading.rest()

    def _told(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {field: row[column] for field, column in self._where(tuple(row))}

    def _call(self, cells: Mapping[str, Any]) -> Row:
        told = self._told(cells)
        row = Row()
        for name in _WORDS:
            if name in told:
                setattr(row, name, word(told[name]))
        for name in _COUNTS:
            if name in told:
                setattr(row, name, count(name, told[name]))
        for name in _AMOUNTS:
            if name in told:
                setattr(row, name, amount(name, told[name]))
        if row.model is None and all(getattr(row, name) is None for name in _TELLING):
            raise ValueError("neither a model nor tokens nor a cost")
        self._rest(row, told)
        return row

    def _rest(self, row: Row, told: Mapping[str, Any]) -> None:
        row.at_s = _when(told.get("at"))
        row.stream = flag(told.get("stream"))
        if row.latency_s is None and "latency_ms" in told:
            ms = amount("latency_ms", told["latency_ms"])
            row.latency_s = None if ms is None else ms / 1000
        way = word(told.get("processing"))
        row.processing = None if way is None else PROCESSING.get(way.lower(), way)
        row.error = word(told.get("error"))
        _end(row, word(told.get("status")))
        step = word(told.get("step"))
        tags = word(told.get("tags"))
        name_row(row, self.step, tags=() if tags is None else tags.split(","))
        if not self.step and step is not None:
            row.step, row.step_rule = step, "column step"

    def _unpack(self, value: bytes) -> Content:
        return self._content(msgspec.json.decode(value))

    def _content(self, cells: Mapping[str, Any]) -> Content:
        told = self._told(cells)
        system = word(told.get("system"))
        said = told.get("input")
        return Content(
            messages=messages_of(said, system) if said not in (None, "") else None,
            answer=_answer(told.get("answer")),
            metadata=mapping(unpacked(cells.get("metadata"))) or _others(cells, told),
        )


def _parquet_rows(log: Log, batch_rows: int) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if log.path is None:
        raise DataError(
            f"{log}: Parquet cannot be read from a stream.", "Save it to a file and name the file."
        )
    try:
        with pq.ParquetFile(log.path) as file:
            for batch in file.iter_batches(batch_size=batch_rows):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise DataError(f"{log}: not a whole Parquet file: {error}.", "Export it again.") from error


def _when(value: Any) -> float | None:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    if value is None or isinstance(value, str | int | float):
        return moment(value)
    raise ValueError(f"not a time: {value!r}")


def _end(row: Row, status: str | None) -> None:
    if row.error is not None:
        row.status = "error"
    elif status is not None and status.lower() not in _OK:
        row.status, row.error = "error", status


def _answer(value: Any) -> str | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _others(cells: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that are none of ours: a user may split steps by them."""
    ours = {alias for names in ALIASES.values() for alias in names}
    return {name: cell for name, cell in cells.items() if name not in ours}
