"""A SQLite database as a log: opened to be read only, its texts bounded. It knows no schema.

A file that somebody else writes is never changed: it is opened as immutable, or, where a
write-ahead log lies beside it, read-only. What a view or a trigger of a strange file would run is
not run: only tables are read, and functions of its schema are not trusted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from stepdown.adapters.logs.reading import Reading
from stepdown.adapters.logs.source import SQLITE
from stepdown.errors import DataError
from stepdown.ports.log_reader import Log

# Longer texts are left out: what a call cost stands beside them.
LONGEST_CHARS = 4 << 20
LONGEST_BYTES = 64 << 20  # of any value; a longer one ends the reading
# A batch ends when its texts are this long, however few its rows are.
BATCH_CHARS = 32 << 20
LEFT_OUT = "calls with a text that is longer than 4 MiB characters (their content is unknown)"

Columns = dict[str, frozenset[str]]


def is_sqlite(head: bytes) -> bool:
    """Tell whether the first bytes are those of a database."""
    return head.startswith(SQLITE)


def application_of(head: bytes) -> int:
    """Return the mark by which a program knows its own database (0: none)."""
    return int.from_bytes(head[68:72], "big")


@contextmanager
def opened(log: Log) -> Iterator[sqlite3.Connection]:
    """Open a database for a while, so that nothing can be changed.

    Raises:
        DataError: it is no file of its own, or it cannot be opened.
    """
    path = _path(log)
    waiting = path.with_name(path.name + "-wal")
    still = "" if waiting.exists() and waiting.stat().st_size else "&immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{still}", uri=True)) as db:
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_BYTES)
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("PRAGMA query_only = ON")
            yield db
    except sqlite3.Error as error:
        raise DataError(
            f"{log}: the database cannot be read: {error}.",
            "Copy it while its program is not running (with its -wal file), and name the copy.",
        ) from error


def columns_in(db: sqlite3.Connection) -> Columns:
    """Return the columns of each table; views are none."""
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = "SELECT name FROM pragma_table_info(?)"
    return {name: frozenset(row[0] for row in db.execute(found, (name,))) for name in names}


def texts_sql(table: str, names: Sequence[str]) -> str:
    """Return columns of texts for a SELECT, each NULL where it is too long."""
    return ", ".join(
        f"CASE WHEN length({table}.{name}) <= {LONGEST_CHARS} THEN {table}.{name} END AS {name}"
        for name in names
    )


def too_long_sql(table: str, names: Sequence[str]) -> str:
    """Return whether one of some columns of texts is too long, for a SELECT."""
    tests = " OR ".join(f"length({table}.{name}) > {LONGEST_CHARS}" for name in names)
    return f"({tests or '0'}) AS too_long"


def rows_in(db: sqlite3.Connection, query: str, reading: Reading) -> Iterator[sqlite3.Row]:
    """Yield the rows of a query; where the file is damaged the rest is refused, not the audit."""
    cursor = db.cursor()
    cursor.row_factory = sqlite3.Row
    try:
        for number, row in enumerate(cursor.execute(query), 1):
            reading.line = number
            yield row
    except sqlite3.DatabaseError as error:
        reading.line += 1
        reading.refuse(f"the database is damaged: {error}")


def _path(log: Log) -> Path:
    if log.path is None:
        raise DataError(
            f"{log}: SQLite cannot be read from a stream.", "Save it to a file and name the file."
        )
    with log.path.open("rb") as file:
        if not is_sqlite(file.read(len(SQLITE))):
            raise DataError(f"{log}: a packed SQLite database.", "Unpack it and name the file.")
    return log.path
