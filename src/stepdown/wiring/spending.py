"""What shadow runs, or audits, have cost today and this month, by task: read from the ledger in
the background.

All processes of a gateway see the same sums, some seconds late.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from stepdown.adapters.storage.ledger import SpoolLedger
from stepdown.errors import DataError

READ_EVERY_S = 5.0
_log = logging.getLogger("stepdown.shadow")


class Spending:
    """Return (today, this month) of a task in dollars; the days are those of UTC."""

    def __init__(
        self,
        ledger: SpoolLedger,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        ran: Literal["policy", "ceiling"] = "policy",
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._ran = ran
        self._day: dict[str, float] = {}
        self._month: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.read()

    def __call__(self, task: str) -> tuple[float, float]:
        """Return what is known of a task; the first call starts the reading."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._keep, name="stepdown-spending", daemon=True
            )
            self._thread.start()
        return self._day.get(task, 0.0), self._month.get(task, 0.0)

    def read(self) -> None:
        """Read the sums anew; where that fails, what was known holds."""
        today = self._now().date().isoformat()
        try:
            self._day = self._spend(today)
            self._month = self._spend(f"{today[:8]}01")
        except DataError as error:
            _log.warning("the cost of shadow runs cannot be read: %s", error)

    def _spend(self, since: str) -> dict[str, float]:
        return self._ledger.shadow_spend(since=since, ran=self._ran)

    def _keep(self) -> None:
        while not self._stopping.wait(READ_EVERY_S):
            self.read()

    def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
