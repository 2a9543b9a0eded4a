"""The SQLite side of the ledger: open and check the file, fill it, read it back.

It does not know the spool.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from stepdown.adapters.storage.beside_rows import (
    Kept,
    insert_beside,
    select_about,
    select_beside,
)
from stepdown.adapters.storage.rows import (
    ATTEMPT_COLUMNS,
    TRACE_COLUMNS,
    attempt_row,
    decode_trace,
    encode_trace,
    renamed,
    trace_row,
)
from stepdown.core.beside import Beside
from stepdown.core.trace import Trace
from stepdown.errors import DataError

VERSION = 3
SCHEMAS = ("schema.sql", "schema-2.sql", "schema-3.sql")  # one for each version, applied in order
APPLICATION_ID = 0x53544550  # "STEP", so that another program's database is told from a ledger
Ran = Literal["policy", "ceiling"]
_BUSY_S = 30.0
_ELSEWHERE = "Name another place for the ledger, or move the file away."


class Entry(Struct, frozen=True):
    """A trace, or a record beside traces, with the JSON text that it was read from."""

    trace: Trace | Beside
    payload: str


def schema(above: int = 0) -> str:
    """Return the published DDL of every version `above` this one."""
    from importlib.resources import files  # lazily: a filler never needs it, and it is 4 MB

    return "\n".join((files(__package__) / name).read_text("utf-8") for name in SCHEMAS[above:])


def create(path: Path) -> None:
    """Make an empty ledger, readable by its owner only; it appears whole or not at all.

    Callers hold the filler's lock: two processes may start together.
    """
    if path.exists():
        return
    hidden = path.with_suffix(".new")
    hidden.unlink(missing_ok=True)  # of a process that died here
    os.close(os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(hidden, isolation_level=None)) as db:
        marks = f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={VERSION};"
        db.executescript(f"PRAGMA journal_mode=WAL; BEGIN; {marks} {schema()} COMMIT;")
    hidden.rename(path)


def version_of(path: Path) -> int:
    """Return the version of a ledger.

    Raises:
        DataError: not a ledger, of a newer version, or it cannot be read.
    """
    with _connected(path) as db:
        return _check(db, path)


def migrate(path: Path) -> None:
    """Bring an older ledger to this version, whole or not at all.

    Callers hold the filler's lock.
    """
    with _connected(path) as db:
        was = _check(db, path)
        if was < VERSION:
            marks = f"PRAGMA user_version={VERSION};"
            db.executescript(f"BEGIN IMMEDIATE; {schema(was)} {marks} COMMIT;")


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an existing ledger for a while.

    Raises:
        DataError: no such file, not a ledger, another version, or it cannot be read.
    """
    with _connected(path) as db:
        version = _check(db, path)
        if version < VERSION:
            raise DataError(
                f"the ledger {path} has version {version}; this program writes {VERSION}.",
                "Start it again: it brings the ledger up to date.",
            )
        db.execute("PRAGMA synchronous = FULL")  # the spool is removed after the commit
        yield db


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise DataError(f"there is no ledger at {path}.", "Serve some requests first.")
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)) as db:
            yield db
    except sqlite3.Error as error:
        raise DataError(f"the ledger {path} cannot be used: {error}.", _ELSEWHERE) from error


def _check(db: sqlite3.Connection, path: Path) -> int:
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise DataError(f"{path} is not a ledger of Stepdown.", _ELSEWHERE)
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if not 1 <= version <= VERSION:
        raise DataError(
            f"the ledger {path} has version {version}; this program reads {VERSION}.",
            "Update stepdown.",
        )
    return version


def insert(db: sqlite3.Connection, entries: Sequence[Entry]) -> int:
    """Insert traces and records in one transaction; return how many traces were new."""
    db.execute("BEGIN IMMEDIATE")
    try:
        new = _insert_all(db, entries)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return new


def _insert_all(db: sqlite3.Connection, entries: Sequence[Entry]) -> int:
    """Insert what is new at one go; what shares its id with another one is looked at by itself."""
    fresh: dict[str, tuple[Trace, str]] = {}
    doubled: list[tuple[Trace, str]] = []
    for entry in entries:
        if not isinstance(entry.trace, Trace):
            insert_beside(db, entry.trace, entry.payload)
        elif entry.trace.id in fresh:
            doubled.append((entry.trace, entry.payload))
        else:
            fresh[entry.trace.id] = (entry.trace, entry.payload)
    doubled = [fresh.pop(name) for name in _known(db, list(fresh))] + doubled
    _write(db, fresh.values())
    return len(fresh) + sum(_insert_trace(db, trace, payload) for trace, payload in doubled)


def _known(db: sqlite3.Connection, ids: list[str]) -> list[str]:
    """Return those of the ids that are in the ledger."""
    query = "SELECT id FROM traces WHERE id IN (SELECT value FROM json_each(?))"
    return [name for (name,) in db.execute(query, (msgspec.json.encode(ids).decode(),))]


def _insert_trace(db: sqlite3.Connection, trace: Trace, payload: str) -> bool:
    known = _payload(db, trace.id)
    if known is None:
        return _write(db, [(trace, payload)])
    if known == payload:
        return False
    other = renamed(trace, payload)
    if _payload(db, other.id) is not None:
        return False
    return _write(db, [(other, encode_trace(other).decode())])


def _payload(db: sqlite3.Connection, trace_id: str) -> str | None:
    row = db.execute("SELECT payload FROM traces WHERE id = ?", (trace_id,)).fetchone()
    return None if row is None else row[0]


def _write(db: sqlite3.Connection, traces: Collection[tuple[Trace, str]]) -> bool:
    db.executemany(_INSERT_TRACE, [trace_row(trace, payload) for trace, payload in traces])
    db.executemany(
        _INSERT_ATTEMPT,
        [attempt_row(trace.id, attempt) for trace, _ in traces for attempt in trace.attempts],
    )
    return True


def _insert_sql(table: str, columns: int) -> str:
    return f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * columns)})"  # noqa: S608 fixed


_INSERT_TRACE = _insert_sql("traces", TRACE_COLUMNS)
_INSERT_ATTEMPT = _insert_sql("attempts", ATTEMPT_COLUMNS)


def find(path: Path, trace_id: str) -> Trace | None:
    """Return one trace, None when it is not there."""
    with opened(path) as db:
        payload = _payload(db, trace_id)
    return None if payload is None else decode_trace(payload)


def select(path: Path, task: str | None, since: str | None) -> Iterator[Trace]:
    """Yield the traces of a task from a time on, in the order of time."""
    where = "(?1 IS NULL OR task = ?1) AND (?2 IS NULL OR at >= ?2)"
    query = f"SELECT payload FROM traces WHERE {where} ORDER BY at, id"  # noqa: S608 fixed
    with opened(path) as db:
        for (payload,) in db.execute(query, (task, since)):
            yield decode_trace(payload)


def select_records(
    path: Path, kind: type[Kept], task: str | None, since: str | None
) -> Iterator[Kept]:
    """Yield the records of one kind, in the order of time."""
    with opened(path) as db:
        yield from select_beside(db, kind, task, since)


def about(path: Path, trace_id: str) -> list[Beside]:
    """Return what is kept beside one trace: its shadow run, and feedback."""
    with opened(path) as db:
        return select_about(db, trace_id)


def shadow_spend(path: Path, since: str, ran: Ran = "policy") -> dict[str, float]:
    """Return what shadow runs (or audits: `ran` the ceiling) cost from a time on, by task; tallied
    ones included.
    """
    query = """
        SELECT task, sum(cost_usd) FROM (
          SELECT task, cost_usd FROM shadows WHERE at >= ?1 AND ran = ?2
          UNION ALL SELECT task, cost_usd FROM tallies WHERE kind = ?3 AND at >= ?1
        ) GROUP BY task"""
    kind = "audit" if ran == "ceiling" else "shadow"
    with opened(path) as db:
        return {task: spent or 0.0 for task, spent in db.execute(query, (since, ran, kind))}


def count(path: Path) -> dict[str, int]:
    """Return how many traces and attempts the tables hold."""
    query = "SELECT (SELECT count(*) FROM traces), (SELECT count(*) FROM attempts)"
    with opened(path) as db:
        traces, attempts = db.execute(query).fetchone()
    return {"traces": traces, "attempts": attempts}


def rows_of(path: Path, view: str) -> list[dict[str, Any]]:
    """Return the rows of one of the ledger's views as plain values.

    Raises:
        DataError: the ledger has no such view.
    """
    with opened(path) as db:
        known = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'view'")]
        if view not in known:
            raise DataError(f"the ledger has no view {view!r}.", f"It has: {', '.join(known)}.")
        cursor = db.execute(f'SELECT * FROM "{view}"')  # noqa: S608 one of the names above
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]
