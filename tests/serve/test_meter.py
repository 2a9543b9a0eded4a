"""The counts: right, bounded, and the same however many processes share the work."""

from __future__ import annotations

from stepdown.core.beside import Feedback, Shadow
from stepdown.core.trace import Attempt, Trace
from stepdown.serve.meter import MOST_SERIES, OTHER, Counted, Meter


def trace(name: str = "r", **changes: object) -> Trace:
    calls = tuple(
        Attempt(
            id=f"{name}/{n}", trace_id=name, number=n, tier=tier, started_at="", why=why,
            latency_s=0.2,
        )
        for n, (tier, why) in enumerate([("small", "entry"), ("big", "low_confidence")], 1)
    )  # fmt: skip
    base: dict[str, object] = {
        "id": name, "task": "intent", "at": "2026-11-22", "attempts": calls, "answered_by": "big",
        "reason": "last_tier", "latency_s": 0.4, "cost_usd": 2.0, "baseline_usd": 3.0,
    }  # fmt: skip
    return Trace(**{**base, **changes})  # type: ignore[arg-type]


def test_a_trace_is_counted_by_who_answered_why_and_for_how_much() -> None:
    meter = Meter()
    meter.trace(trace(outside_guarantee="session"))
    meter.trace(trace(cost_usd=None, answered_by=None))
    sums = meter.copy().sums
    assert sums["requests"] == {
        ("intent", "big", "policy"): 1,
        ("intent", "none", "policy"): 1,
    }
    assert sums["escalations"] == {("intent", "low_confidence"): 2}
    assert sums["outside_guarantee"] == {("intent", "session"): 1}
    assert sums["cost_usd"] == {("intent", "policy"): 2.0}
    assert sums["cost_unknown"] == {("intent",): 1}
    assert (sums["baseline_usd"], sums["compared_usd"]) == ({("intent",): 3.0}, {("intent",): 2.0})


def test_two_processes_add_up_to_what_one_would_have_counted() -> None:
    one, two, all_ = Meter(), Meter(), Meter()
    for number in range(50):
        seen = trace(f"r{number}", latency_s=number / 10)
        (one if number % 3 else two).trace(seen)
        all_.trace(seen)
    together = Counted(sums={}, times={})
    together.add(one.copy())
    together.add(two.copy())
    assert together.sums == all_.copy().sums
    series = {k: [h.counts for h in v.values()] for k, v in together.times.items()}
    assert series == {k: [h.counts for h in v.values()] for k, v in all_.copy().times.items()}


def test_a_flood_of_names_does_not_make_a_flood_of_series() -> None:
    meter = Meter()
    for number in range(3 * MOST_SERIES):
        meter.trace(trace(outside_guarantee=f"reason-{number}"))
    series = meter.copy().sums["outside_guarantee"]
    assert len(series) == MOST_SERIES + 1
    assert series[OTHER, OTHER] == 2 * MOST_SERIES


def test_shadows_and_feedback_are_counted_apart() -> None:
    meter = Meter()
    kept = {"id": "s", "trace_id": "r", "task": "intent", "at": "2026"}
    meter.shadow(Shadow(**kept, agreed=True, cost_usd=0.5))
    meter.shadow(Shadow(**kept, agreed=None))
    meter.feedback(Feedback(**kept, score=0.0, comment="no"))
    sums = meter.copy().sums
    assert sums["shadow"] == {("intent", "agreed"): 1, ("intent", "not_comparable"): 1}
    assert sums["shadow_cost_usd"] == {("intent",): 0.5}
    assert sums["feedback"] == {("intent", "score"): 1, ("intent", "comment"): 1}
    assert "cost_usd" not in sums
