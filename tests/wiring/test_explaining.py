"""One request explained: in sentences first, then as figures."""

from __future__ import annotations

from stepdown.core.beside import Shadow
from stepdown.core.report import Prose, Table
from stepdown.core.trace import Attempt, Trace
from stepdown.wiring.explaining import document
from stepdown.wiring.reason_words import attempt_words, reason_words

LEAD = "lead: accept small in small"


def attempt(number: int = 1, tier: str = "small", **keys: object) -> Attempt:
    said = {"id": f"t/{number}", "trace_id": "t", "number": number, "started_at": "2026-01-01"}
    return Attempt(tier=tier, **said, **keys)  # type: ignore[arg-type]


def test_what_was_weighed_is_said_with_its_figure() -> None:
    kept = attempt(
        why="worth_calling", signals={LEAD: 0.125}, threshold=0.0,
        decision="accept small", reason="worth_most",
    )  # fmt: skip
    assert attempt_words(kept) == (
        "1. small was asked: asking it was expected to gain more than it costs. The answer of "
        "small was sent: keeping the answer of small was worth 0.125 more than the next best "
        "choice."
    )
    gone = attempt(signals={LEAD: -0.25}, decision="call big", reason="worth_calling")
    assert "big was next: keeping the answer of small was worth 0.250 less" in attempt_words(gone)


def test_a_threshold_is_said_in_words_too() -> None:
    said = attempt_words(
        attempt(why="entry", threshold=0.9, decision="call big", reason="low_confidence")
    )
    assert said == (
        "1. small was asked: the policy starts there. big was next: what was compared stayed "
        "below the threshold."
    )


def test_a_failure_is_said_and_an_unknown_reason_stands_as_it_is() -> None:
    said = attempt_words(attempt(kind="buy", failure="provider_error", why="doubt_of_mine"))
    assert said == ("1. small was asked for a signal: doubt of mine. It failed (provider error).")
    assert reason_words("doubt_of_mine") == "doubt of mine"


def test_the_zero_of_a_lead_does_not_stand_beside_a_confidence() -> None:
    learned = attempt(signals={LEAD: 0.1}, confidence=0.3, threshold=0.0, decision="accept small")
    plain = attempt(2, "big", confidence=0.9, threshold=0.8, decision="accept big")
    trace = Trace(
        id="t", task="x", at="2026-01-01", attempts=(learned, plain), answered_by="big",
        reason="confident", latency_s=0.1,
    )  # fmt: skip
    blocks = document(trace).sections[0].blocks
    table = next(block for block in blocks if isinstance(block, Table))
    assert [row[3] is None for row in table.rows] == [True, False]
    assert [b.text[:2] for b in blocks if isinstance(b, Prose)][1:] == ["1.", "2."]


def audit(**keys: object) -> Shadow:
    said = {"id": "t~audit", "trace_id": "t", "task": "x", "at": "2026-01-01", "ran": "ceiling"}
    return Shadow(propensity=0.05, cost_usd=0.25, **said, **keys)  # type: ignore[arg-type]


def beside(one: Shadow) -> str:
    trace = Trace(
        id="t", task="x", at="2026-01-01", attempts=(), answered_by="small", reason="confident",
        latency_s=0.1,
    )  # fmt: skip
    blocks = document(trace, [one]).sections[0].blocks
    return " ".join(block.text for block in blocks if isinstance(block, Prose))


def test_an_audit_is_told_from_a_shadow_run() -> None:
    differs = beside(audit(answered_by="big", agreed=False, loss=1.0))
    assert "Audited with chance 0.05: big gave another answer (loss 1)" in differs
    assert "the policy ran" not in differs
    down = beside(audit(why_not="provider_error"))
    assert "Drawn for an audit with chance 0.05, and not audited: provider_error" in down
    same = beside(audit(why_not="ceiling", loss=0.0, answered_by="big"))
    assert "the ceiling had answered, so nothing was asked again" in same
