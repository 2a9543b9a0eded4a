"""Shadow runs, feedback, changes and tallies as rows: the columns of schema-2.sql and later."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from stepdown.adapters.storage.rows import ATTEMPT_COLUMNS, attempt_row
from stepdown.core.beside import Beside, Change, Feedback, Shadow, Tally

MARK = '{"record":'  # how the JSON of anything but a trace begins
TABLES: dict[type[Any], str] = {
    Shadow: "shadows",
    Feedback: "feedback",
    Change: "changes",
    Tally: "tallies",
}
Kept = TypeVar("Kept", bound=Beside)
_decoder: msgspec.json.Decoder[Beside] = msgspec.json.Decoder(Beside)
_encoder = msgspec.json.Encoder()
_COLUMNS: dict[type[Any], list[str]] = {
    Shadow: [
        "id",
        "trace_id",
        "task",
        "at",
        "ran",
        "lock_digest",
        "caller_tier",
        "answered_by",
        "reason",
        "agreed",
        "why_not",
        "latency_s",
        "cost_usd",
        "policy_usd",
        "caller_usd",
        "confidence",
        "outside_guarantee",
        "input_digest",
        "propensity",
        "loss",
    ],
    Feedback: ["id", "trace_id", "task", "at", "score", "label", "comment", "by"],
    Change: ["id", "at", "by", "what", "task", "before", "after"],
    Tally: [
        "id",
        "task",
        "hour",
        "kind",
        "answered_by",
        "escalated",
        "guarantee",
        "outside_guarantee",
        "arm",
        "agreed",
        "latency_s",
        "cost_usd",
        "baseline_usd",
        "propensity",
        "loss",
        "why_not",
    ],
}


def _insert_sql(kind: type[Any]) -> str:
    """Name the columns: those of later versions stand behind the payload."""
    names = [_STORED.get((kind, name), name) for name in (*_COLUMNS[kind], "payload")]
    columns, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
    return f"INSERT OR IGNORE INTO {TABLES[kind]} ({columns}) VALUES ({marks})"  # noqa: S608


_STORED = {(Tally, "hour"): "at"}  # a tally's time is its hour
_INSERT = {kind: _insert_sql(kind) for kind in TABLES}


def encode_beside(record: Beside) -> bytes:
    """Return the record as one line of JSON."""
    return _encoder.encode(record)


def decode_beside(payload: str) -> Beside:
    """Return the record that `encode_beside` wrote. Raises msgspec.DecodeError."""
    return _decoder.decode(payload)


def insert_beside(db: sqlite3.Connection, record: Beside, payload: str) -> None:
    """Insert one record; of two with one id the first wins."""
    row = [getattr(record, name) for name in _COLUMNS[type(record)]]
    db.execute(_INSERT[type(record)], (*row, payload))
    if isinstance(record, Shadow):
        places = ", ".join("?" * ATTEMPT_COLUMNS)
        rows = [attempt_row(record.id, attempt) for attempt in record.attempts]
        db.executemany(f"INSERT OR IGNORE INTO shadow_attempts VALUES ({places})", rows)  # noqa: S608


def select_beside(
    db: sqlite3.Connection, kind: type[Kept], task: str | None, since: str | None
) -> Iterator[Kept]:
    """Yield the records of a kind, of a task, from a time on, in the order of time."""
    where = "(?1 IS NULL OR task = ?1) AND (?2 IS NULL OR at >= ?2)"
    query = f"SELECT payload FROM {TABLES[kind]} WHERE {where} ORDER BY at, id"  # noqa: S608
    for (payload,) in db.execute(query, (task, since)):
        yield msgspec.json.decode(payload, type=kind)


def select_about(db: sqlite3.Connection, trace_id: str) -> list[Beside]:
    """Return the shadow run, the audit and the feedback of one request, in the order of time."""
    query = """
        SELECT at, payload FROM shadows
        WHERE id IN (?1 || '~shadow', ?1 || '~audit') AND trace_id = ?1
        UNION ALL SELECT at, payload FROM feedback WHERE trace_id = ?1 ORDER BY 1"""
    return [decode_beside(payload) for _, payload in db.execute(query, (trace_id,))]
