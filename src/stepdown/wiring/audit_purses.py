"""The purse of each task's audits: a monthly budget, spread over the days of the month.

Until the end of day d of a month of D days, d/D of the budget may be spent: what a quiet day leaves
may be spent later, and no busy day can spend the month.
"""

from __future__ import annotations

import time
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime

from stepdown.config.schema import AuditingKeys
from stepdown.serve.audits import Purse
from stepdown.wiring.spending import READ_EVERY_S

LATE_S = READ_EVERY_S + 5.0  # the books hold by then what was spent before


def allowance(usd_per_month: float, today: date) -> float:
    """Return what may be spent in this month until the end of today."""
    return usd_per_month * today.day / monthrange(today.year, today.month)[1]


class Purses:
    """Return the purse of a task. `books` returns what its audits cost (today, this month).

    The books lag by some seconds, so what this process spent in the last of them is added, and an
    audit under way counts as the dearest so far. Each process of a gateway can therefore go over
    the budget by what it spends in that time.
    """

    def __init__(
        self,
        keys: AuditingKeys | None,
        books: Callable[[str], tuple[float, float]],
        *,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._books = books
        self._today = today
        self._seconds = seconds
        self._tasks: dict[str, _Task] = {}

    def __call__(self, task: str) -> Purse:
        """Return the purse of a task, an empty one where nothing is audited."""
        if self._keys is None:
            return Purse()
        if task not in self._tasks:
            self._tasks[task] = _Task(self._seconds)
        said, own = self._keys.for_task(task), self._tasks[task]
        limit = said.usd_per_month
        return Purse(
            share=said.share or 0.0,
            limited=limit is not None,
            left=lambda: limit is None or self._left(task, limit),
            begun=own.begun,
            spent=own.spent,
        )

    def _left(self, task: str, usd_per_month: float) -> bool:
        _, month = self._books(task)
        own = self._tasks[task]
        return month + own.lately() + own.next() <= allowance(usd_per_month, self._today())


class _Task:
    """What this process spent lately on one task."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._costs: list[tuple[float, float]] = []
        self._running = 0
        self._dearest = 0.0

    def begun(self) -> None:
        self._running += 1

    def spent(self, usd: float | None) -> None:
        self._running = max(0, self._running - 1)
        cost = self._dearest if usd is None else usd
        self._dearest = max(self._dearest, cost)
        self._costs.append((self._seconds(), cost))

    def lately(self) -> float:
        since = self._seconds() - LATE_S
        self._costs = [one for one in self._costs if one[0] >= since]
        return sum(cost for _, cost in self._costs)

    def next(self) -> float:
        """What the audits under way and another one may cost."""
        return (self._running + 1) * self._dearest
