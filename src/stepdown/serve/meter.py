"""Count what the gateway does, as plain numbers that several processes can add up.

Fed with traces that hold no text. It does not know how the numbers are published.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
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

    def add(self, other: Histogram) -> None:
        """Add another's counts."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


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
                into.setdefault(labels, _empty()).add(one)


def _empty() -> Histogram:
    return Histogram([0] * (len(BUCKETS_S) + 1))


class _Way:
    """The requests that went one way: what differs among them is time and money."""

    __slots__ = ("attempts", "compared", "cost", "first", "n", "replaced", "times", "unpriced")

    def __init__(self, attempts: int) -> None:
        self.n = self.unpriced = 0
        self.cost = self.compared = self.replaced = 0.0
        self.times, self.first = _empty(), _empty()
        self.attempts = [_empty() for _ in range(attempts)]

    def add(self, trace: Trace) -> None:
        """Count one request."""
        self.n += 1
        self.times.observe(trace.latency_s)
        if trace.first_byte_s is not None:
            self.first.observe(trace.first_byte_s)
        for seen, attempt in zip(self.attempts, trace.attempts, strict=True):
            if attempt.latency_s is not None:
                seen.observe(attempt.latency_s)
        cost = trace.cost_usd
        if cost is None:
            self.unpriced += 1
            return
        self.cost += cost
        if trace.baseline_usd is not None:
            self.compared += cost
            self.replaced += trace.baseline_usd


# Task, who answered, arm, why outside the guarantee, and each attempt: tier, kind, failure, why.
_Route = tuple[str, str, str, str, tuple[tuple[str, str, str, str], ...]]


class Meter:
    """The counts of this process; several threads may feed it.

    Requests are kept by the way that they went, and the counts are made of that when somebody
    asks: so that a request costs one look-up.
    """

    def __init__(self) -> None:
        self.counted = Counted(sums={}, times={})
        self._ways: dict[_Route, _Way] = {}
        self._responses: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()

    def trace(self, trace: Trace) -> None:
        """Count a request that was answered, or was not."""
        route = _route(trace)
        with self._lock:
            way = self._ways.get(route)
            if way is None:
                way = self._new_way(route)
            way.add(trace)

    def _new_way(self, route: _Route) -> _Way:
        if len(self._ways) >= MOST_SERIES:
            many = tuple((OTHER, OTHER, OTHER, OTHER) for _ in route[-1])
            route = (OTHER, OTHER, OTHER, OTHER if route[3] else "", many)
        return self._ways.setdefault(route, _Way(len(route[-1])))

    def _expand(self, into: Meter) -> None:
        for (called, status), n in self._responses.items():
            into.sum("responses", n, called, str(status))
        for (task, by, arm, outside, attempts), way in self._ways.items():
            into.sum("requests", way.n, task, by, arm)
            into.merge("request_seconds", way.times, task, by)
            into.merge("first_byte_seconds", way.first, task, by)
            if outside:
                into.sum("outside_guarantee", way.n, task, outside)
            calls = [one for one in attempts if one[1] == "call"]
            for *_, why in calls[1:]:
                into.sum("escalations", way.n, task, why)
            for (tier, kind, failure, _), times in zip(attempts, way.attempts, strict=True):
                into.sum("attempts", way.n, task, tier, kind, failure)
                into.merge("attempt_seconds", times, tier)
            _money(into, way, task, arm)

    def shadow(self, shadow: Shadow) -> None:
        """Count a policy that ran beside an answer, or an audit of one."""
        ended = "not_comparable"
        if shadow.agreed is not None:
            ended = "agreed" if shadow.agreed else "disagreed"
        with self._lock:
            if shadow.ran == "ceiling":
                self._one("audit", shadow.task, shadow.why_not or ended)
                if shadow.cost_usd is not None:
                    self.sum("audit_cost_usd", shadow.cost_usd, shadow.task)
                return
            self._one("shadow", shadow.task, ended)
            if shadow.cost_usd is not None:
                self.sum("shadow_cost_usd", shadow.cost_usd, shadow.task)

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
            self._responses[route, status] += 1

    def copy(self) -> Counted:
        """Return the counts as they are now."""
        now = Meter()
        with self._lock:
            now.counted.add(self.counted)
            self._expand(now)
        return now.counted

    def _one(self, name: str, *labels: str) -> None:
        self.sum(name, 1.0, *labels)

    def sum(self, name: str, value: float, *labels: str) -> None:
        """Add to a sum."""
        series = self.counted.sums.setdefault(name, {})
        key = labels if labels in series else _bounded(series, labels)
        series[key] = series.get(key, 0.0) + value

    def merge(self, name: str, seen: Histogram, *labels: str) -> None:
        """Add to a histogram; one without a value does not begin it."""
        if not any(seen.counts):
            return
        series = self.counted.times.setdefault(name, {})
        key = labels if labels in series else _bounded(series, labels)
        series.setdefault(key, _empty()).add(seen)


def _route(trace: Trace) -> _Route:
    return (
        trace.task,
        trace.answered_by or "none",
        trace.arm or "policy",
        trace.outside_guarantee or "",
        tuple([(a.tier, a.kind, a.failure or "ok", a.why) for a in trace.attempts]),
    )


def _money(into: Meter, way: _Way, task: str, arm: str) -> None:
    if way.unpriced:
        into.sum("cost_unknown", way.unpriced, task)
    if way.n > way.unpriced:
        into.sum("cost_usd", way.cost, task, arm)
    if way.replaced or way.compared:
        into.sum("baseline_usd", way.replaced, task)
        into.sum("compared_usd", way.compared, task)


def _bounded(series: Mapping[Labels, object], labels: Labels) -> Labels:
    return labels if len(series) < MOST_SERIES else (OTHER,) * len(labels)
