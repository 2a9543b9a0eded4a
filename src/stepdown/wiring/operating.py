"""What the gateway shows of itself and is told: readiness, metrics, feedback."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from stepdown.adapters.gateway.exposition import Family
from stepdown.adapters.storage.ledger import SpoolLedger
from stepdown.core.beside import Feedback
from stepdown.core.digest import digest
from stepdown.core.requesting import match_label
from stepdown.core.trace import Trace
from stepdown.errors import DataError, InputError
from stepdown.ports.operations import Said
from stepdown.serve.meter import Labels, Meter
from stepdown.serve.ramp import Ramp
from stepdown.serve.service import Service
from stepdown.wiring.bookkeeping import Bookkeeper
from stepdown.wiring.measuring import Sharing, Values, metrics_page

_STATES = ("certified", "declared", "ceiling", "withdrawn", "none")
_log = logging.getLogger("stepdown.serve")


class GatewayOperations:
    """The Operations port of a running gateway. `service` returns the one that serves now."""

    def __init__(
        self,
        service: Callable[[], Service],
        ledger: SpoolLedger,
        books: Bookkeeper,
        meter: Meter,
        sharing: Sharing,
        now: Callable[[], str],
    ) -> None:
        self._service = service
        self._ledger = ledger
        self._books = books
        self._meter = meter
        self._sharing = sharing
        self._now = now

    def ready(self) -> Mapping[str, Any]:
        """Return that requests should come here: models and lock were loaded before it listened,
        and one that drains takes no connection. A ledger that lags is said, and stops nothing: its
        spool keeps everything.

        Raises:
            InputError: there is no lock yet.
        """
        status = self._service().status()
        checks = {
            "lock": status["lock"],
            "models": "loaded",
            "ledger_lag_s": round(self._ledger.lag_s(), 3),
            "withdrawn": [
                name for name, said in status["tasks"].items() if said["guarantee"] == "withdrawn"
            ],
        }
        return {"ready": True, "checks": checks}

    def response(self, route: str, status: int) -> None:
        """Count a response."""
        self._meter.response(route, status)

    def metrics(self) -> bytes:
        """Return the page of all processes."""
        return metrics_page(self._sharing.everybody(), [*self._promises(), *self._saving()])

    def _promises(self) -> list[Family]:
        service = self._service()
        tasks = service.status()["tasks"]
        states: dict[Labels, float] = {
            (name, state): float(said["guarantee"] == state)
            for name, said in tasks.items()
            for state in _STATES
        }
        shares: dict[Labels, float] = {(name,): service.ramp.exposure(name).share for name in tasks}
        lag: dict[Labels, float] = {(): self._ledger.lag_s()}
        return [
            Family(
                "stepdown_guarantee",
                "gauge",
                "1 for the state that a task's guarantee is in.",
                ("task", "state"),
                states,
            ),
            Family(
                "stepdown_policy_share",
                "gauge",
                "Share of a task's traffic that its policy answers.",
                ("task",),
                shares,
            ),
            Family(
                "stepdown_ledger_lag_seconds",
                "gauge",
                "Age of the oldest trace that is not in the database yet.",
                (),
                lag,
            ),
        ]

    def _saving(self) -> list[Family]:
        sums = self._sharing.everybody().counted.sums
        before, after = sums.get("baseline_usd", {}), sums.get("compared_usd", {})
        saved = {labels: usd - after.get(labels, 0.0) for labels, usd in before.items()}
        said = "Saved against the baseline tier, where both costs are known; it may fall."
        return [Family("stepdown_saved_usd", "gauge", said, ("task",), saved)]

    def feedback(self, said: Said) -> Mapping[str, Any] | None:
        """Keep feedback on a trace that is in the ledger or its spool.

        Raises:
            InputError: the label is none of the task's.
        """
        trace = self._trace(said.trace_id)
        if trace is None:
            return None
        kept = self._kept(said, trace)
        self._books.feedback(kept)
        plain: dict[str, Any] = msgspec.to_builtins(kept)
        plain.pop("record", None)
        return {**plain, "comment_kept": said.comment is None or kept.comment is not None}

    def _trace(self, trace_id: str) -> Trace | None:
        try:
            return self._ledger.trace(trace_id)
        except DataError as error:
            _log.warning("feedback could not look up its trace: %s", error)
            raise InputError("The ledger cannot be read now.", "Send the feedback again.") from None

    def _kept(self, said: Said, trace: Trace) -> Feedback:
        labels = self._service().labels(trace.task)
        label = said.label
        if label is not None and labels:
            label = match_label(labels, label)
            if label is None:
                raise InputError(
                    f"The task {trace.task!r} has no label {said.label!r:.100}.",
                    f"Known: {', '.join(labels)}.",
                )
        texts = self._books.keeps_texts(trace.task, trace.id)
        named = [trace.id, said.key] if said.key else [trace.id, *msgspec.structs.astuple(said)]
        return Feedback(
            id=digest(named),
            trace_id=trace.id,
            task=trace.task,
            at=self._now(),
            score=said.score,
            label=label if labels or texts else None,
            comment=said.comment if texts else None,
            by=said.by,
        )


def others_of(
    ramp_of: Callable[[], Ramp],
    gates: Callable[[], Mapping[str, Any]],
    spans: Callable[[], int],
    unwritten: Callable[[], Mapping[str, int]],
    restarts: Mapping[str, int],
) -> Callable[[], tuple[Mapping[str, Values], Mapping[str, Values]]]:
    """Return what reads the counters and gauges that other parts of this process keep."""

    def read() -> tuple[Mapping[str, Values], Mapping[str, Values]]:
        ramp, readings, lines = ramp_of(), gates(), unwritten()
        shadows, sessions = ramp.shadows, ramp.sessions
        dropped = {} if shadows is None else dict(shadows.dropped)
        counters: dict[str, Values] = {
            "shadow_dropped": {labels: float(n) for labels, n in dropped.items()},
            "spans_dropped": {(): float(spans())},
            "ledger_lost": {(): float(lines["lost"])},
            "worker_restarts": {(worker,): float(n) for worker, n in restarts.items()},
            "tier_retries": {(t,): float(r.retries) for t, r in readings.items()},
            "tier_opened": {(t,): float(r.opened) for t, r in readings.items()},
            "tier_refused": {
                (t, why): float(n) for t, r in readings.items() for why, n in r.refused.items()
            },
        }
        gauges: dict[str, Values] = {
            "ledger_held": {(): float(lines["held"])},
            "tier_running": {(t,): float(r.running) for t, r in readings.items()},
            "tier_waiting": {(t,): float(r.waiting) for t, r in readings.items()},
            "tier_down": {(t,): float(r.state == "open") for t, r in readings.items()},
            "shadow_waiting": {(): float(0 if shadows is None else shadows.waiting)},
            "sessions": {(): float(0 if sessions is None else len(sessions))},
        }
        return counters, gauges

    return read
