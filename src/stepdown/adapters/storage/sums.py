"""Read the sums by day (`rollup`): a few rows, whatever the ledger holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from stepdown.adapters.storage.rollup import Rollup, behind

MOST_ROWS = 50_000  # of one answer; a year of 10 tasks and 3 tiers has some 11,000
_PARTS = """sum(traces) AS traces, sum(escalated) AS escalated, sum(outside) AS outside,
  sum(cost_usd) AS cost_usd, sum(cost_unknown) AS cost_unknown, sum(both_known) AS both_known,
  sum(both_cost_usd) AS both_cost_usd, sum(both_baseline_usd) AS both_baseline_usd"""
_DAYS = f"""
SELECT day, task, {_PARTS}, sum((tier = '') * traces) AS abstained,
  sum(latency_s) AS latency_s, max(baseline_tier) AS baseline_tier
FROM days WHERE day >= ? GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ?"""  # noqa: S608 fixed
_TIERS = f"""
SELECT task, arm, tier, {_PARTS}, sum(latency_s) AS latency_s
FROM days WHERE day >= ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT ?"""  # noqa: S608 fixed
_REASONS = """
SELECT task, kind, reason, moved_to, sum(traces) AS traces
FROM reasons WHERE day >= ? GROUP BY 1, 2, 3, 4 ORDER BY traces DESC LIMIT ?"""
_SCORES = """
SELECT day, task, arm, n, total FROM scores WHERE day >= ? ORDER BY 1, 2, 3 LIMIT ?"""
_COUNTED_ONLY = """
SELECT day, task, traces, cost_usd, cost_unknown, both_cost_usd, both_baseline_usd
FROM counted_only WHERE day >= ? ORDER BY 1, 2 LIMIT ?"""
Rows = Sequence[dict[str, Any]]


class Sums:
    """Sums from a day on (`YYYY-MM-DD`, in UTC, itself included).

    Each method returns plain rows, at most `MOST_ROWS`.
    """

    def __init__(self, db: sqlite3.Connection, since: str) -> None:
        self._db = db
        self._since = since

    def days(self) -> Rows:
        """Return a row for each day and task."""
        return self._rows(_DAYS)

    def tiers(self) -> Rows:
        """Return a row for each task, arm and tier that answered ("" is nobody)."""
        return self._rows(_TIERS)

    def reasons(self) -> Rows:
        """Return a row for each task, kind (escalation, outside) and reason, by number."""
        return self._rows(_REASONS)

    def scores(self) -> Rows:
        """Return the count and total of what people said, for each day, task and arm."""
        return self._rows(_SCORES)

    def counted_only(self) -> Rows:
        """Return a row for each day and task that stores nothing."""
        return self._rows(_COUNTED_ONLY)

    def behind(self) -> int:
        """Return how many rows of the ledger are not in the sums yet."""
        return behind(self._db)

    def _rows(self, query: str) -> Rows:
        cursor = self._db.execute(query, (self._since, MOST_ROWS))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def sums_of(rollup: Rollup, since: str) -> dict[str, Any]:
    """Return all sums from a day on, as they stand at one moment.

    Raises:
        DataError: the ledger or the sums cannot be used.
    """
    with rollup.opened() as db:
        db.execute("BEGIN")
        sums = Sums(db, since)
        return {
            "days": sums.days(),
            "tiers": sums.tiers(),
            "reasons": sums.reasons(),
            "scores": sums.scores(),
            "counted_only": sums.counted_only(),
            "behind": sums.behind(),
        }
