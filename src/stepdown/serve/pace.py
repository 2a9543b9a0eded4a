"""How long a tier has been taking lately: what a deadline is held against.

Old observations are forgotten, so that a tier that was slow once is tried again.
"""

from __future__ import annotations

from collections import deque
from statistics import median

WINDOW_S = 60.0  # as most dashboards average; traffic of a minute ago says little about now
KEPT = 64
LEAST = 5  # fewer say nothing about a median: the sign-test interval of 4 values is below 90%


class Pace:
    """The latest latencies of one tier."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=KEPT)

    def note(self, now_s: float, latency_s: float) -> None:
        """Note how long a call took."""
        self._seen.append((now_s, latency_s))

    def median_s(self, now_s: float) -> float | None:
        """Return the median of the last minute, None when too few calls were made in it."""
        recent = [took for at, took in self._seen if now_s - at <= WINDOW_S]
        return median(recent) if len(recent) >= LEAST else None
