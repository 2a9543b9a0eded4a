"""What the ledger holds of one task under some locks: audits, first calls and counts, by SQL.

Rows come in the order in which they arrived. No trace is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.storage.database import opened
from stepdown.core.beside import Feedback, Shadow, Tally

COVERED = "(t.outside_guarantee IS NULL OR t.outside_guarantee = 'raised')"
MINE = """t.task = ?1 AND t.lock_digest IN (SELECT value FROM json_each(?2))
  AND coalesce(t.arm, 'policy') = 'policy'"""
MOST_A_DAY = 2_000  # first calls of a day that are looked at: the first ones
_CALLS = f"""
WITH mine AS (
  SELECT t.rowid AS place, t.id, t.at, t.session, t.tiers_agree, a.confidence, a.signals,
    row_number() OVER (PARTITION BY substr(t.at, 1, 10) ORDER BY t.rowid) AS nth
  FROM traces AS t JOIN attempts AS a ON a.trace_id = t.id
  WHERE {MINE} AND t.contract_matched AND {COVERED}
    AND a.number = 1 AND a.kind = 'call' AND a.tier = ?3 AND a.failure IS NULL
)
SELECT id, at, session, confidence, json_extract(signals, '$.familiarity') AS familiarity,
  tiers_agree FROM mine WHERE nth <= ?4 ORDER BY place"""  # noqa: S608 our own words
_AUDITS = """
SELECT payload FROM shadows AS t WHERE t.ran = 'ceiling' AND t.task = ?1
  AND t.lock_digest IN (SELECT value FROM json_each(?2)) ORDER BY t.rowid"""
_TALLIED = "SELECT payload FROM tallies WHERE task = ?1 AND kind = 'audit' AND at >= ?2 ORDER BY at"
_SAID = """
SELECT f.payload FROM feedback AS f JOIN traces AS t ON t.id = f.trace_id
WHERE f.task = ?1 AND t.lock_digest IN (SELECT value FROM json_each(?2)) ORDER BY f.rowid"""
_DAYS = f"""
SELECT substr(t.at, 1, 10) AS day, count(*) AS requests,
  sum(t.at < coalesce(json_extract(?3, '$."' || substr(t.at, 1, 10) || '"'), '9999')) AS open,
  sum(t.answered_by <> ?4 AND
    t.at < coalesce(json_extract(?3, '$."' || substr(t.at, 1, 10) || '"'), '9999')) AS open_kept,
  sum(t.answered_by <> ?4) AS kept
FROM traces AS t WHERE {MINE} AND t.contract_matched AND {COVERED} AND t.answered_by IS NOT NULL
GROUP BY 1 ORDER BY 1"""  # noqa: S608 our own words
_TALLIED_DAYS = """
SELECT substr(at, 1, 10) AS day, count(*) AS requests,
  sum(at < coalesce(json_extract(?3, '$."' || substr(at, 1, 10) || '"'), '9999')) AS open,
  sum(answered_by <> ?4 AND
    at < coalesce(json_extract(?3, '$."' || substr(at, 1, 10) || '"'), '9999')) AS open_kept,
  sum(answered_by <> ?4) AS kept
FROM tallies WHERE task = ?1 AND kind = 'answer' AND at >= ?2 AND coalesce(arm, 'policy') = 'policy'
  AND (outside_guarantee IS NULL OR outside_guarantee = 'raised') AND answered_by IS NOT NULL
GROUP BY 1 ORDER BY 1"""
_OUTSIDE = f"""
SELECT t.outside_guarantee AS reason, count(*) AS n FROM traces AS t WHERE {MINE}
GROUP BY 1 ORDER BY 2 DESC"""  # noqa: S608 our own words
_SPENT = """
SELECT sum(cost_usd) AS usd, sum(cost_usd IS NULL) AS unknown FROM (
  SELECT cost_usd FROM shadows WHERE ran = 'ceiling' AND task = ?1 AND at >= ?2
  UNION ALL SELECT cost_usd FROM tallies WHERE kind = 'audit' AND task = ?1 AND at >= ?2)"""


class TaskEvidence:
    """The records of one task under the locks whose digests are named."""

    def __init__(self, path: Path, task: str, locks: Sequence[str]) -> None:
        self._path = path
        self._task = task
        self._locks = msgspec.json.encode(list(locks)).decode()

    def audits(self) -> Iterator[Shadow]:
        """Yield the requests that were drawn."""
        for row in self._rows(_AUDITS, self._task, self._locks):
            yield msgspec.json.decode(row["payload"], type=Shadow)

    def tallied(self, since: str) -> Iterator[Tally]:
        """Yield those of a task that stores nothing, from an hour on."""
        for row in self._rows(_TALLIED, self._task, since):
            yield msgspec.json.decode(row["payload"], type=Tally)

    def said(self) -> Iterator[Feedback]:
        """Yield feedback on answers of these locks."""
        for row in self._rows(_SAID, self._task, self._locks):
            yield msgspec.json.decode(row["payload"], type=Feedback)

    def calls(self, tier: str, most: int = MOST_A_DAY) -> list[dict[str, Any]]:
        """Return what a tier said that was called first, the first `most` requests of each day."""
        return self._rows(_CALLS, self._task, self._locks, tier, most)

    def days(self, closed: Mapping[str, str], ceiling: str) -> list[dict[str, Any]]:
        """Return covered requests by day; `closed` says when a day's budget ran out."""
        return self._rows(_DAYS, self._task, self._locks, _json(closed), ceiling)

    def tallied_days(
        self, since: str, closed: Mapping[str, str], ceiling: str
    ) -> list[dict[str, Any]]:
        """Return the same of a task that stores nothing."""
        return self._rows(_TALLIED_DAYS, self._task, since, _json(closed), ceiling)

    def outside(self) -> list[dict[str, Any]]:
        """Return requests by why they lie outside the guarantee, None: inside."""
        return self._rows(_OUTSIDE, self._task, self._locks)

    def spent(self, since: str) -> tuple[float | None, int]:
        """Return what audits cost from a time on, and of how many nobody knows it."""
        [row] = self._rows(_SPENT, self._task, since)
        return row["usd"], row["unknown"] or 0

    def _rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        with opened(self._path) as db:
            cursor = db.execute(query, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]


def _json(closed: Mapping[str, str]) -> str:
    return msgspec.json.encode(dict(closed)).decode()
