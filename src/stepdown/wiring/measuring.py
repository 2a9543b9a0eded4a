"""The numbers of all processes of a gateway as one page, and how each process shares its own.

Every process writes its counts to a file of its own, once a second while they change and when it
is asked for the page. Counts of a process that died stay until the next start, so sums never fall.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from stepdown.adapters.gateway.exposition import Family, Timed, page
from stepdown.adapters.tables.atomic import replacing
from stepdown.errors import DataError
from stepdown.serve.meter import BUCKETS_S, Counted, Labels, Meter

WRITE_EVERY_S = 1.0
FOLDER = "serve/numbers"
_COUNTERS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "requests": (
        "stepdown_requests_total",
        "Requests, by who answered (none: nobody) and by arm of the ramp.",
        ("task", "tier", "arm"),
    ),
    "attempts": (
        "stepdown_attempts_total",
        "Calls of tiers, bought signals and polishes, by how they ended.",
        ("task", "tier", "kind", "ended"),
    ),
    "escalations": (
        "stepdown_escalations_total",
        "Moves to the next tier, by reason.",
        ("task", "reason"),
    ),
    "outside_guarantee": (
        "stepdown_outside_guarantee_total",
        "Requests that no promise covers, by reason.",
        ("task", "reason"),
    ),
    "cost_usd": ("stepdown_cost_usd_total", "What requests cost.", ("task", "arm")),
    "cost_unknown": (
        "stepdown_cost_unknown_total",
        "Requests of which some cost is unknown; they are in no sum.",
        ("task",),
    ),
    "baseline_usd": (
        "stepdown_baseline_usd_total",
        "What the same requests cost on the baseline tier, where both are known.",
        ("task",),
    ),
    "compared_usd": (
        "stepdown_compared_usd_total",
        "What the requests of stepdown_baseline_usd_total cost; the saving is the difference.",
        ("task",),
    ),
    "shadow": (
        "stepdown_shadow_total",
        "Policies run beside an answer, by whether they agreed with it.",
        ("task", "ended"),
    ),
    "shadow_cost_usd": (
        "stepdown_shadow_cost_usd_total",
        "What shadow runs cost; it is in no request's cost.",
        ("task",),
    ),
    "audit": (
        "stepdown_audit_total",
        "Requests drawn for an audit, by whether the ceiling agreed or why it was not asked.",
        ("task", "ended"),
    ),
    "audit_cost_usd": (
        "stepdown_audit_cost_usd_total",
        "What audits cost; it is in no request's cost.",
        ("task",),
    ),
    "shadow_dropped": (
        "stepdown_shadow_dropped_total",
        "Shadow runs that did not happen, by reason.",
        ("task", "reason"),
    ),
    "feedback": ("stepdown_feedback_total", "Feedback, by kind.", ("task", "kind")),
    "responses": ("stepdown_responses_total", "HTTP responses.", ("route", "status")),
    "spans_dropped": ("stepdown_spans_dropped_total", "Traces that were not exported.", ()),
    "ledger_lost": (
        "stepdown_ledger_lost_total",
        "Lines of the ledger that could be neither written nor held.",
        (),
    ),
    "worker_restarts": (
        "stepdown_worker_restarts_total",
        "Workers that ended unasked and were replaced, by their number.",
        ("worker",),
    ),
    "tier_retries": ("stepdown_tier_retries_total", "Calls of a tier tried again.", ("tier",)),
    "tier_refused": (
        "stepdown_tier_refused_total",
        "Calls that a tier's gate did not let through, by reason.",
        ("tier", "reason"),
    ),
    "tier_opened": (
        "stepdown_tier_breaker_opened_total",
        "Times that a tier's breaker opened.",
        ("tier",),
    ),
}
_GAUGES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "tier_running": ("stepdown_tier_running", "Calls of a tier under way.", ("tier",)),
    "tier_waiting": ("stepdown_tier_queue_depth", "Calls that wait for a tier.", ("tier",)),
    "tier_down": ("stepdown_tier_down", "Processes in which a tier's breaker is open.", ("tier",)),
    "ledger_held": (
        "stepdown_ledger_held",
        "Lines of the ledger held in memory, because its spool takes none.",
        (),
    ),
    "shadow_waiting": ("stepdown_shadow_waiting", "Shadow runs that wait.", ()),
    "sessions": ("stepdown_sessions", "Conversations whose tier is remembered.", ()),
}
_TIMES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "request_seconds": (
        "stepdown_request_seconds",
        "Time to the whole answer, by who answered.",
        ("task", "tier"),
    ),
    "first_byte_seconds": (
        "stepdown_first_byte_seconds",
        "Time to the first piece of a streamed answer.",
        ("task", "tier"),
    ),
    "attempt_seconds": ("stepdown_attempt_seconds", "Time of one call of a tier.", ("tier",)),
}
Values = Mapping[Labels, float]


def gateways(state: Path) -> int:
    """Return how many processes of gateways live; `state` is the project's folder of its own."""
    folder = state / FOLDER
    return sum(alive(path) for path in folder.glob("*.json")) if folder.exists() else 0


class Snapshot(Struct):
    """What one process has counted, and its gauges, which are forgotten with it."""

    counted: Counted
    gauges: dict[str, dict[Labels, float]] = {}


class Sharing:
    """Write this process's numbers to `folder`, and add up everybody's.

    `more` returns counters and gauges that others keep: name -> label values -> number.
    """

    def __init__(
        self,
        folder: Path,
        meter: Meter,
        more: Callable[[], tuple[Mapping[str, Values], Mapping[str, Values]]],
    ) -> None:
        self._folder = folder
        self._meter = meter
        self._more = more
        self._path = folder / f"{os.getpid()}.json"
        self._stopping = threading.Event()
        self._written = b""
        forget_the_dead(folder)
        self._write(self.snapshot())  # says that this process lives
        self._thread = threading.Thread(target=self._keep, name="stepdown-metrics", daemon=True)
        self._thread.start()

    def snapshot(self) -> Snapshot:
        """Return this process's numbers."""
        counted = self._meter.copy()
        counters, gauges = self._more()
        counted.add(Counted(sums={name: dict(series) for name, series in counters.items()}))
        return Snapshot(counted, {name: dict(series) for name, series in gauges.items()})

    def everybody(self) -> Snapshot:
        """Return the numbers of all processes together."""
        mine = self.snapshot()
        for path in self._folder.glob("*.json"):
            if path == self._path:
                continue
            other = _read(path)
            if other is not None:
                mine.counted.add(other.counted)
                _add_gauges(mine, other, alive=alive(path))
        return mine

    def close(self) -> None:
        """Write for the last time, without gauges."""
        self._stopping.set()
        self._thread.join()
        self._write(Snapshot(self.snapshot().counted))

    def _keep(self) -> None:
        while not self._stopping.wait(WRITE_EVERY_S):
            self._write(self.snapshot())

    def _write(self, snapshot: Snapshot) -> None:
        """Write if anything changed; a full disk costs the page, never an answer."""
        body = _encoder.encode(_plain(snapshot))
        if body == self._written:
            return
        with suppress(DataError), replacing(self._path) as path:
            path.write_bytes(body)
            self._written = body


_encoder = msgspec.json.Encoder()


def _plain(snapshot: Snapshot) -> dict[str, list[list[object]]]:
    """JSON has no tuples as keys: each series is written as a row."""
    counted = snapshot.counted
    return {
        "sums": [[n, list(k), v] for n, found in counted.sums.items() for k, v in found.items()],
        "times": [
            [n, list(k), h.counts, h.total]
            for n, found in counted.times.items()
            for k, h in found.items()
        ],
        "gauges": [
            [n, list(k), v] for n, found in snapshot.gauges.items() for k, v in found.items()
        ],
    }


def _read(path: Path) -> Snapshot | None:
    """Return what a process wrote; None where it is gone or broken."""
    from stepdown.serve.meter import Histogram

    try:
        plain = msgspec.json.decode(path.read_bytes())
        found = Snapshot(Counted(sums={}, times={}), {})
        for name, labels, value in plain["sums"]:
            found.counted.sums.setdefault(name, {})[tuple(labels)] = float(value)
        for name, labels, counts, total in plain["times"]:
            found.counted.times.setdefault(name, {})[tuple(labels)] = Histogram(counts, total)
        for name, labels, value in plain["gauges"]:
            found.gauges.setdefault(name, {})[tuple(labels)] = float(value)
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, ValueError):
        return None
    return found


def _add_gauges(mine: Snapshot, other: Snapshot, *, alive: bool) -> None:
    for name, series in other.gauges.items() if alive else ():
        into = mine.gauges.setdefault(name, {})
        for labels, value in series.items():
            into[labels] = into.get(labels, 0.0) + value


def forget_the_dead(folder: Path) -> None:
    """Remove what processes of earlier starts counted."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        if not alive(path):
            path.unlink(missing_ok=True)


def alive(path: Path) -> bool:
    """Return whether the process lives whose numbers a file holds."""
    try:
        os.kill(int(path.stem), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def metrics_page(snapshot: Snapshot, own: Sequence[Family]) -> bytes:
    """Return the page: counters, gauges, histograms, then the families that are `own`."""
    counted = snapshot.counted
    families = [
        Family(name, "counter", said, labels, counted.sums.get(key, {}))
        for key, (name, said, labels) in _COUNTERS.items()
    ]
    families += [
        Family(name, "gauge", said, labels, snapshot.gauges.get(key, {}))
        for key, (name, said, labels) in _GAUGES.items()
    ]
    for key, (name, said, labels) in _TIMES.items():
        times = {k: Timed(h.counts, h.total) for k, h in counted.times.get(key, {}).items()}
        families.append(Family(name, "histogram", said, labels, times=times, bounds=BUCKETS_S))
    return page([*families, *own])
