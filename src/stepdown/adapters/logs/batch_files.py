"""Files of batch APIs: OpenAI's Batch (input, output and error files) and Anthropic's Message
Batches (requests and results). Input and output join on `custom_id`, in whatever files and order.

Follows "Batch API" (OpenAI) and "Batch processing" with the Message Batches reference (Anthropic),
as of November 2026. Output tells what was billed, input what was asked: an output without its input
is a call whose request is unknown; an input without its output was never answered, only counted.
Everything is processed as `batch`. There is no latency; Anthropic's results have no time either.
Traps: both vendors write results in any order, and callers use one `custom_id` again in every file.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from stepdown.adapters.logs.names import name_row
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading, values
from stepdown.adapters.logs.records import first_objects
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.said import content_of
from stepdown.adapters.logs.source import Source, reopenable
from stepdown.adapters.logs.wire import WireRequest, WireResponse, error_kind
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Content
from stepdown.ports.log_reader import Log

INSERT_ROWS = 1000
UNSURE = "batch results whose custom_id stands in several inputs that differ (request unknown)"
ALONE = "batch results without their input (request unknown)"
UNANSWERED = "batch requests without a result (never billed as far as the files tell)"


class _Answer(Struct):
    """`response` of OpenAI's output."""

    status_code: int | None = None
    request_id: str | None = None
    body: WireResponse | None = None


class _Result(Struct):
    """`result` of Anthropic's."""

    type: str | None = None
    message: WireResponse | None = None
    error: Any = None


class _Line(Struct):
    """A line of any of the files."""

    custom_id: str | None = None
    id: str | None = None
    body: Raw = field(default_factory=Raw)
    params: Raw = field(default_factory=Raw)
    response: _Answer | None = None
    result: _Result | None = None
    error: Any = None

    @property
    def request(self) -> bytes:
        """The body of a request; empty: this line is a result."""
        return bytes(self.body) or bytes(self.params)


class BatchFiles:
    """Read files of batches, joined; `step` names every call (the user's flag)."""

    name = "OpenAI Batch and Anthropic Message Batches (API references, November 2026)"

    def __init__(self, step: str | None = None) -> None:
        self.step = step
        self._line = msgspec.json.Decoder(_Line)
        self._request = msgspec.json.Decoder(WireRequest)

    def accepts(self, head: bytes) -> bool:
        """Tell whether a value near the start is a line of a batch."""
        parts = {"body", "params", "result", "response"}
        return any(
            "custom_id" in found and "request" not in found and parts & set(found)
            for found in first_objects(head)
        )

    def read(self, log: Log | Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Yield the calls of one file that holds both halves, or of one that holds results."""
        return self.read_all([Source.of(log)], batch_rows=batch_rows)

    def read_all(self, logs: Iterable[Log], *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Yield the calls of files that belong together: requests first, then results.

        Requests wait in a temporary database on disk, so memory is bounded.
        """
        with tempfile.TemporaryDirectory() as folder, closing(_Requests()) as asked:
            again = [reopenable(log, Path(folder) / str(n)) for n, log in enumerate(logs)]
            for number, log in enumerate(again):
                self._keep(log, number, asked)
            for number, log in enumerate(again):
                yield from self._results(log, number, asked, batch_rows)
            yield from asked.left(self.name)

    def _keep(self, log: Log, number: int, asked: _Requests) -> None:
        # What is broken is told when results are read: each line once.
        for value in values(log, Reading(log, self.name, None)):
            try:
                line = self._line.decode(value)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue
            if line.custom_id is not None and line.request:
                asked.add(line.custom_id, number, line.request)

    def _results(self, log: Log, number: int, asked: _Requests, batch_rows: int) -> Iterator[Batch]:
        reading = Reading(log, self.name, unpack)
        for value in values(log, reading):
            try:
                self._result(value, number, asked, reading)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                if value.strip():
                    reading.refuse(f"not a line of a batch: {error}", value)
            if reading.is_full(batch_rows):
                yield reading.batch()
        yield from reading.rest()

    def _result(self, value: bytes, number: int, asked: _Requests, reading: Reading) -> None:
        line = self._line.decode(value)
        if line.custom_id is None:
            raise ValueError('no "custom_id"')
        if line.request:
            return
        if line.response is None and line.result is None and line.error is None:
            raise ValueError("neither a request nor a result")
        request, why = asked.take(line.custom_id, number)
        if why is not None:
            reading.note(why)
        reading.add([(self._call(line, request), (request, value))])

    def _call(self, line: _Line, request: bytes) -> Row:
        answered = _answered(line)
        row = Row(id=line.custom_id, processing="batch")
        metadata = None
        if request:
            body = self._request.decode(request)
            body.into(row)
            row.model, metadata = body.model, body.metadata
        if answered is not None:
            answered.into(row)
            row.at_s = answered.at_s
        row.processing = "batch"
        _end(row, line)
        name_row(row, self.step, (metadata,))
        return row


def unpack(raw: tuple[bytes, bytes]) -> Content:
    """Return what a request and its result say."""
    request, value = raw
    told = msgspec.json.decode(value)
    asked = msgspec.json.decode(request) if request else None
    outer = told.get("response") or told.get("result") or {}
    answered = outer.get("body") or outer.get("message")
    metadata = asked.get("metadata") if isinstance(asked, dict) else None
    return content_of(asked, answered, metadata if isinstance(metadata, dict) else None)


class _Requests:
    """Requests by their `custom_id`, on disk."""

    def __init__(self) -> None:
        self._data = sqlite3.connect("")  # a temporary file of SQLite's own
        self._data.execute("PRAGMA journal_mode = OFF")
        self._data.execute(
            "CREATE TABLE asked (id TEXT, log INTEGER, body BLOB, taken INTEGER DEFAULT 0)"
        )
        self._waiting: list[tuple[str, int, bytes]] = []
        self._indexed = False

    def add(self, custom_id: str, log: int, body: bytes) -> None:
        """Keep a request."""
        self._waiting.append((custom_id, log, body))
        if len(self._waiting) >= INSERT_ROWS:
            self._flush()

    def take(self, custom_id: str, log: int) -> tuple[bytes, str | None]:
        """Return the request of a result, and what is to be said where there is none for sure."""
        self._index()
        rows = self._data.execute(
            "SELECT rowid, log, body FROM asked WHERE id = ? LIMIT 64", (custom_id,)
        ).fetchall()
        here = [row for row in rows if row[1] == log] or rows
        self._data.executemany(
            "UPDATE asked SET taken = 1 WHERE rowid = ?", [(row[0],) for row in here]
        )
        if not here:
            return b"", ALONE
        bodies = {row[2] for row in here}
        return (bodies.pop(), None) if len(bodies) == 1 else (b"", UNSURE)

    def left(self, form: str) -> Iterator[Batch]:
        """Yield how many requests no result was found for."""
        self._index()
        (n,) = self._data.execute("SELECT count(*) FROM asked WHERE taken = 0").fetchone()
        if n:
            yield Batch(notes={UNANSWERED: n}, format=form)

    def close(self) -> None:
        """Forget all."""
        self._data.close()

    def _flush(self) -> None:
        self._data.executemany("INSERT INTO asked (id, log, body) VALUES (?, ?, ?)", self._waiting)
        self._waiting = []

    def _index(self) -> None:
        if not self._indexed:
            self._flush()
            self._data.execute("CREATE INDEX by_id ON asked (id)")
            self._indexed = True


def _answered(line: _Line) -> WireResponse | None:
    if line.response is not None:
        return line.response.body
    return None if line.result is None else line.result.message


def _end(row: Row, line: _Line) -> None:
    """Write whether a request of a batch failed, and how."""
    if line.error is not None:
        row.status, row.error = "error", error_kind(line.error)
    elif line.response is not None and (line.response.status_code or 200) >= 400:
        row.status, row.error = "error", row.error or f"http {line.response.status_code}"
    elif line.result is not None and line.result.type not in (None, "succeeded"):
        kind = error_kind(line.result.error) if line.result.error else str(line.result.type)
        row.status, row.error = "error", kind
