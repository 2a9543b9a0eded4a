"""Sums for `serve status`, made by the database: no trace is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepdown.adapters.storage.database import opened

MOST_TIMES = 20_000  # the latest latencies of an arm, for its quantiles
_ARMS = """
SELECT task, coalesce(arm, 'policy') AS arm, count(*) AS n, sum(escalated) AS escalated,
  sum(outside_guarantee IS NOT NULL) AS outside, sum(answered_by IS NULL) AS abstained,
  sum(cost_usd) AS cost_usd, sum(cost_usd IS NULL) AS cost_unknown,
  sum(CASE WHEN baseline_usd IS NOT NULL THEN cost_usd END) AS compared_usd,
  sum(CASE WHEN cost_usd IS NOT NULL THEN baseline_usd END) AS baseline_usd,
  max(baseline_tier) AS baseline_tier
FROM traces WHERE at >= ? GROUP BY 1, 2 ORDER BY 1, 2"""
_OUTSIDE = """
SELECT task, outside_guarantee AS reason, count(*) AS n FROM traces
WHERE at >= ? AND outside_guarantee IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC"""
_TALLIED = """
SELECT task, count(*) AS n, sum(outside_guarantee IS NOT NULL) AS outside,
  sum(cost_usd) AS cost_usd, sum(baseline_usd) AS baseline_usd
FROM tallies WHERE at >= ? AND kind = 'answer' GROUP BY 1"""
_TIMES = """
SELECT latency_s FROM traces WHERE task = ? AND coalesce(arm, 'policy') = ? AND at >= ?
ORDER BY at DESC LIMIT ?"""
_SAID = """
SELECT f.task, coalesce(t.arm, 'policy') AS arm, f.score AS score
FROM feedback AS f JOIN traces AS t ON t.id = f.trace_id
WHERE f.at >= ? AND f.score IS NOT NULL"""


class Figures:
    """The sums from a time on. `since` is an ISO time, compared as text."""

    def __init__(self, path: Path, since: str) -> None:
        self._path = path
        self._since = since

    def arms(self) -> list[dict[str, Any]]:
        """Return one row for each task and arm."""
        return self._rows(_ARMS, self._since)

    def outside(self) -> list[dict[str, Any]]:
        """Return one row for each task and reason outside the guarantee."""
        return self._rows(_OUTSIDE, self._since)

    def tallied(self) -> list[dict[str, Any]]:
        """Return one row for each task that stores nothing; its tallies know the hour only."""
        return self._rows(_TALLIED, self._since[:13])

    def scores(self) -> list[dict[str, Any]]:
        """Return the scores that people gave, with the arm of the answer."""
        return self._rows(_SAID, self._since)

    def times(self, task: str, arm: str) -> list[float]:
        """Return the latest latencies of an arm."""
        rows = self._rows(_TIMES, task, arm, self._since, MOST_TIMES)
        return [row["latency_s"] for row in rows]

    def _rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        with opened(self._path) as db:
            cursor = db.execute(query, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
