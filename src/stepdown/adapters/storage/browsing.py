"""Page through the traces, the latest first, however many there are.

A filter that few traces pass would read the whole ledger, so one page looks through `MOST_LOOKED`
traces at most and says how far it came.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from msgspec import Struct

from stepdown.adapters.storage.database import opened

MOST_LOOKED = 20_000
Place = tuple[str, str]  # time and id of a trace
_COLUMNS = (
    "id, task, at, answered_by, reason, escalated, latency_s, cost_usd, guarantee, "
    "outside_guarantee, contract_matched, confidence"
)
_CALLED_FOR = """EXISTS (
  SELECT 1 FROM attempts AS a WHERE a.trace_id = found.id AND a.kind = 'call' AND a.why = ?4
  AND a.number > (SELECT min(b.number) FROM attempts AS b
                  WHERE b.trace_id = found.id AND b.kind = 'call'))"""


class Wanted(Struct, frozen=True, kw_only=True):
    """Which traces: of a task, escalated for a reason, outside the guarantee.

    `outside` is a reason, or `any`. `before` is where the page before ended.
    """

    task: str | None = None
    reason: str | None = None
    outside: str | None = None
    before: Place | None = None
    limit: int = 50


class Found(Struct, frozen=True):
    """One page. `next` is where the next begins, None at the end; `looked` says that the search
    stopped there before the page was full.
    """

    rows: tuple[dict[str, Any], ...]
    next: Place | None
    looked: bool = False


def browse(path: Path, wanted: Wanted, most: int = MOST_LOOKED) -> Found:
    """Return one page of traces.

    Raises:
        DataError: there is no ledger, or it cannot be read.
    """
    with opened(path) as db:
        rows = _rows(db, wanted, most)
        if len(rows) > wanted.limit:
            last = rows[wanted.limit - 1]
            return Found(tuple(rows[: wanted.limit]), (last["at"], last["id"]))
        end = _end(db, wanted, most)
        return Found(tuple(rows), end, looked=end is not None)


def _rows(db: sqlite3.Connection, wanted: Wanted, most: int) -> list[dict[str, Any]]:
    query = f"""
        SELECT * FROM (
          SELECT {_COLUMNS} FROM traces WHERE {_scanned(wanted)}
          ORDER BY at DESC, id DESC LIMIT ?5
        ) AS found WHERE {_filter(wanted)} LIMIT ?6"""  # noqa: S608 fixed
    outside = None if wanted.outside == "any" else wanted.outside
    at, name = wanted.before or (None, None)
    values = (at, name, wanted.task, wanted.reason, most, wanted.limit + 1, outside)
    cursor = db.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _scanned(wanted: Wanted) -> str:
    """Return the condition that an index serves; `OR` in it would make SQLite read from the top."""
    task = "?3 IS NULL" if wanted.task is None else "task = ?3"
    return task if wanted.before is None else f"{task} AND (at, id) < (?1, ?2)"


def _filter(wanted: Wanted) -> str:
    parts = ["?7 IS NULL"]
    if wanted.reason is not None:
        parts.append(f"escalated AND {_CALLED_FOR}")
    if wanted.outside is not None:
        parts[0] = "outside_guarantee IS NOT NULL AND (?7 IS NULL OR outside_guarantee = ?7)"
    return " AND ".join(parts)


def _end(db: sqlite3.Connection, wanted: Wanted, most: int) -> Place | None:
    """Return the last trace that was looked at, None where there are no more."""
    query = f"""
        SELECT at, id FROM traces WHERE {_scanned(wanted)}
        ORDER BY at DESC, id DESC LIMIT 1 OFFSET ?4"""  # noqa: S608 fixed
    at, name = wanted.before or (None, None)
    found: Place | None = db.execute(query, (at, name, wanted.task, most - 1)).fetchone()
    return found
