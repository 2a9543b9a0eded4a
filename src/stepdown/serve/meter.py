"""Count what the gateway does, as plain numbers that several processes can add up.

Fed with traces that hold no text. It does not know how the numbers are published.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping

from msgspec import Struct

from stepdown.core.beside import Feedback, Shadow
from stepdown.core.trace import Trace

# The default buckets of the Prometheus client libraries, up to the longest a request may take.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
MOST_SERIES = 1000  # of one name; what comes after is counted under OTHER
OTHER = "other"
Labels = tuple[str, ...]


class Histogram(Struct):
    """Counts per bucket, the last one above all of them, and the sum of what was observed."""

    counts: list[int]
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one value."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.total += seconds


class Counted(Struct):
    """Everything counted so far: name -> label values -> number."""

    sums: dict[str, dict[Labels, float]] = {}
    times: dict[str, dict[Labels, Histogram]] = {}

    def add(self, other: Counted) -> None:
        """Add another process's counts."""
        for name, series in other.sums.items():
            mine = self.sums.setdefault(name, {})
            for labels, value in series.items():
                mine[labels] = mine.get(labels, 0.0) + value
        for name, found in other.times.items():
            into = self.times.setdefault(name, {})
            for labels, one in found.items():
                seen = into.setdefault(labels, _empty())
                seen.counts = [a + b for a, b in zip(seen.counts, one.counts, strict=True)]
                seen.total += one.total


def _empty() -> Histogram:
    return Histogram([0] * (len(BUCKETS_S) + 1))


class Meter:
    """The counts of this process; several threads may feed it."""

    def __init__(self) -> None:
        self.counted = Counted()
        self._lock = threading.Lock()

    def trace(self, trace: Trace) -> None:
        """Count a request that was answered, or was not."""
        arm, by = trace.arm or "policy", trace.answered_by or "none"
        with self._lock:
            self._one("requests", trace.task, by, arm)
            self._time("request_seconds", trace.latency_s, trace.task, by)
            if trace.first_byte_s is not None:
                self._time("first_byte_seconds", trace.first_byte_s, trace.task, by)
            if trace.outside_guarantee:
                self._one("outside_guarantee", trace.task, trace.outside_guarantee)
            for why in trace.escalations:
                self._one("escalations", trace.task, why)
            self._attempts(trace)
            self._money(trace, arm)

    def _attempts(self, trace: Trace) -> None:
        for attempt in trace.attempts:
            ended = attempt.failure or "ok"
            self._one("attempts", trace.task, attempt.tier, attempt.kind, ended)
            if attempt.latency_s is not None:
                self._time("attempt_seconds", attempt.latency_s, attempt.tier)

    def _money(self, trace: Trace, arm: str) -> None:
        cost, before = trace.cost_usd, trace.baseline_usd
        if cost is None:
            self._one("cost_unknown", trace.task)
        else:
            self._sum("cost_usd", cost, trace.task, arm)
        if cost is not None and before is not None:
            self._sum("baseline_usd", before, trace.task)
            self._sum("compared_usd", cost, trace.task)

    def shadow(self, shadow: Shadow) -> None:
        """Count a policy that ran beside an answer."""
        ended = "not_comparable"
        if shadow.agreed is not None:
            ended = "agreed" if shadow.agreed else "disagreed"
        with self._lock:
            self._one("shadow", shadow.task, ended)
            if shadow.cost_usd is not None:
                self._sum("shadow_cost_usd", shadow.cost_usd, shadow.task)

    def feedback(self, said: Feedback) -> None:
        """Count what somebody said of an answer."""
        given = {"score": said.score, "label": said.label, "comment": said.comment}
        with self._lock:
            for kind, value in given.items():
                if value is not None:
                    self._one("feedback", said.task, kind)

    def response(self, route: str, status: int) -> None:
        """Count an HTTP response; `route` is one of the gateway's, never a path as it came."""
        with self._lock:
            self._one("responses", route, str(status))

    def copy(self) -> Counted:
        """Return the counts as they are now."""
        now = Counted(sums={}, times={})
        with self._lock:
            now.add(self.counted)
        return now

    def _one(self, name: str, *labels: str) -> None:
        self._sum(name, 1.0, *labels)

    def _sum(self, name: str, value: float, *labels: str) -> None:
        series = self.counted.sums.setdefault(name, {})
        key = labels if labels in series else _bounded(series, labels)
        series[key] = series.get(key, 0.0) + value

    def _time(self, name: str, seconds: float, *labels: str) -> None:
        series = self.counted.times.setdefault(name, {})
        key = labels if labels in series else _bounded(series, labels)
        series.setdefault(key, _empty()).observe(seconds)


def _bounded(series: Mapping[Labels, object], labels: Labels) -> Labels:
    return labels if len(series) < MOST_SERIES else (OTHER,) * len(labels)
