"""Sums by day beside the ledger, so that a page with a million traces behind it reads a few rows.

`rollup.sqlite` catches up with the ledger by row number and can be deleted at any time. Rows of the
ledger never change and never go, so what is counted once stays right.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from stepdown.adapters.storage.places import ROLLUP
from stepdown.errors import DataError

VERSION = 1
CHUNK = 10_000  # rows of the ledger in one transaction
TALLIES_EVERY_S = 60.0
_BUSY_S = 5.0
_log = logging.getLogger("stepdown.ledger")

_DAYS = """
INSERT INTO days
SELECT substr(at, 1, 10), task, coalesce(arm, 'policy'), coalesce(answered_by, ''),
  coalesce(baseline_tier, ''), count(*), sum(escalated), sum(outside_guarantee IS NOT NULL),
  sum(contract_matched = 0), total(cost_usd), sum(cost_usd IS NULL),
  sum(cost_usd IS NOT NULL AND baseline_usd IS NOT NULL),
  total(CASE WHEN baseline_usd IS NOT NULL THEN cost_usd END),
  total(CASE WHEN cost_usd IS NOT NULL THEN baseline_usd END), total(latency_s)
FROM ledger.traces WHERE rowid > ? AND rowid <= ? GROUP BY 1, 2, 3, 4, 5
ON CONFLICT DO UPDATE SET
  traces = traces + excluded.traces, escalated = escalated + excluded.escalated,
  outside = outside + excluded.outside, not_matched = not_matched + excluded.not_matched,
  cost_usd = cost_usd + excluded.cost_usd, cost_unknown = cost_unknown + excluded.cost_unknown,
  both_known = both_known + excluded.both_known,
  both_cost_usd = both_cost_usd + excluded.both_cost_usd,
  both_baseline_usd = both_baseline_usd + excluded.both_baseline_usd,
  latency_s = latency_s + excluded.latency_s"""
_MORE_TRACES = "ON CONFLICT DO UPDATE SET traces = traces + excluded.traces"
_ESCALATIONS = f"""
INSERT INTO reasons
SELECT substr(t.at, 1, 10), t.task, 'escalation', a.why, a.tier, count(*)
FROM ledger.traces AS t JOIN ledger.attempts AS a ON a.trace_id = t.id AND a.kind = 'call'
WHERE t.rowid > ? AND t.rowid <= ? AND t.escalated AND a.number > (
  SELECT min(b.number) FROM ledger.attempts AS b WHERE b.trace_id = t.id AND b.kind = 'call')
GROUP BY 1, 2, 3, 4, 5 {_MORE_TRACES}"""  # noqa: S608 fixed
_OUTSIDE = f"""
INSERT INTO reasons
SELECT substr(at, 1, 10), task, 'outside', outside_guarantee, '', count(*)
FROM ledger.traces WHERE rowid > ? AND rowid <= ? AND outside_guarantee IS NOT NULL
GROUP BY 1, 2, 3, 4, 5 {_MORE_TRACES}"""  # noqa: S608 fixed
_SCORES = """
INSERT INTO scores
SELECT substr(f.at, 1, 10), f.task, coalesce(t.arm, 'policy'), count(*), sum(f.score)
FROM ledger.feedback AS f LEFT JOIN ledger.traces AS t ON t.id = f.trace_id
WHERE f.rowid > ? AND f.rowid <= ? AND f.score IS NOT NULL GROUP BY 1, 2, 3
ON CONFLICT DO UPDATE SET n = n + excluded.n, total = total + excluded.total"""
_TALLIES = """
INSERT INTO counted_only
SELECT substr(at, 1, 10), task, count(*), total(cost_usd), sum(cost_usd IS NULL),
  total(CASE WHEN baseline_usd IS NOT NULL THEN cost_usd END),
  total(CASE WHEN cost_usd IS NOT NULL THEN baseline_usd END)
FROM ledger.tallies WHERE kind = 'answer' GROUP BY 1, 2"""
_SOURCES = {"traces": (_DAYS, _ESCALATIONS, _OUTSIDE), "feedback": (_SCORES,)}
_TABLES = ("marks", "days", "reasons", "scores", "counted_only")


class Rollup:
    """The sums beside the ledger at `ledger`; they are made where there are none.

    It keeps no connection: several processes may count at once, each row is counted once.
    """

    def __init__(self, ledger: Path) -> None:
        self.ledger = ledger
        self.path = ledger.with_name(ROLLUP)

    def catch_up(self, within_s: float) -> int:
        """Count what is new, for about so long; return how many rows are still to be counted.

        Raises:
            DataError: the ledger or the sums cannot be used.
        """
        until = time.monotonic() + within_s
        with self.opened() as db:
            while (left := _step(db)) and time.monotonic() < until:
                pass
            return left

    def recount_tallies(self) -> None:
        """Count the tasks that store nothing anew: their rows are in no order."""
        with self.opened() as db, _transaction(db):
            db.execute("DELETE FROM counted_only")
            db.execute(_TALLIES)

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Open the sums, with the ledger attached as `ledger` to be read only.

        Raises:
            DataError: there is no ledger, or one of the files cannot be used.
        """
        if not self.ledger.is_file():
            raise DataError(f"there is no ledger at {self.ledger}.", "Serve some requests first.")
        try:
            with closing(self._connected()) as db:
                yield db
        except sqlite3.Error as error:
            hint = "The sums are made from the ledger alone: delete the file, and try again."
            raise DataError(f"{self.path} cannot be used: {error}.", hint) from error

    def _connected(self) -> sqlite3.Connection:
        if not self.path.exists():
            _create(self.path)
        db = _connect(self.path)
        try:
            is_ours = _is_of_this_version(db)
        except sqlite3.DatabaseError:
            is_ours = False
        if not is_ours:
            db.close()
            _log.warning("%s is not of this version or is broken: made anew", self.path.name)
            _create(self.path, anew=True)
            db = _connect(self.path)
        db.execute("PRAGMA synchronous = NORMAL")  # what is lost is counted again
        db.execute("ATTACH ? AS ledger", (f"file:{quote(str(self.ledger.absolute()))}?mode=ro",))
        _forget_another(db)
        return db


def _connect(path: Path) -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()))}"
    return sqlite3.connect(address, timeout=_BUSY_S, isolation_level=None, uri=True)


def _is_of_this_version(db: sqlite3.Connection) -> bool:
    return int(db.execute("PRAGMA user_version").fetchone()[0]) == VERSION


def _create(path: Path, *, anew: bool = False) -> None:
    """Make empty sums, readable by their owner only; they appear whole or not at all.

    Two may do so at once: the first one's stay, unless they are to be made `anew`.
    """
    from importlib.resources import files  # lazily, as in `database`

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    os.close(handle)
    hidden = Path(name)
    ddl = (files(__package__) / "rollup.sql").read_text("utf-8")
    try:
        with closing(sqlite3.connect(hidden, isolation_level=None)) as db:
            db.executescript(f"BEGIN; PRAGMA user_version={VERSION}; {ddl} COMMIT;")
            db.execute("PRAGMA journal_mode = WAL")
        if anew:
            for left in ("-wal", "-shm"):
                path.with_name(path.name + left).unlink(missing_ok=True)
            hidden.rename(path)
        else:
            with suppress(FileExistsError):
                path.hardlink_to(hidden)
    finally:
        hidden.unlink(missing_ok=True)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _step(db: sqlite3.Connection) -> int:
    """Count one chunk of each source; return how many rows are left."""
    if not behind(db):
        return 0
    with _transaction(db):
        for source in _SOURCES:
            _count_from(db, source)
    return behind(db)


def behind(db: sqlite3.Connection) -> int:
    """Return how many rows of the ledger are not counted yet."""
    marks = dict(db.execute("SELECT source, counted FROM marks"))
    return sum(max(0, _last(db, source) - marks.get(source, 0)) for source in _SOURCES)


def _last(db: sqlite3.Connection, source: str) -> int:
    found = db.execute(f"SELECT max(rowid) FROM ledger.{source}").fetchone()[0]  # noqa: S608 fixed
    return found or 0


def _count_from(db: sqlite3.Connection, source: str) -> None:
    query = "SELECT counted FROM marks WHERE source = ?"
    start = (db.execute(query, (source,)).fetchone() or (0,))[0]
    end = min(start + CHUNK, _last(db, source))
    if end <= start:
        return
    for statement in _SOURCES[source]:
        db.execute(statement, (start, end))
    mark = "INSERT OR REPLACE INTO marks VALUES (?, ?, ?)"
    db.execute(mark, (source, end, _id_at(db, source, end)))


def _forget_another(db: sqlite3.Connection) -> None:
    """Forget every sum when the ledger is not the one that was counted."""
    marks = db.execute("SELECT source, counted, id FROM marks").fetchall()
    if all(_id_at(db, source, counted) == name for source, counted, name in marks):
        return
    _log.warning("the ledger is another one than was counted: its sums are made anew")
    with _transaction(db):
        for table in _TABLES:
            db.execute(f"DELETE FROM {table}")  # noqa: S608 fixed


def _id_at(db: sqlite3.Connection, source: str, row: int) -> str:
    query = f"SELECT id FROM ledger.{source} WHERE rowid = ?"  # noqa: S608 fixed
    found = db.execute(query, (row,)).fetchone()
    return "" if found is None else str(found[0])
