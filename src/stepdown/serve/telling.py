"""What a caller is told when nobody answered, or when somebody else did than should have."""

from __future__ import annotations

from stepdown.errors import Down, ModelError, TimedOut, Unavailable
from stepdown.serve.cascade import Outcome
from stepdown.serve.planning import Plan


def no_answer(plan: Plan, outcome: Outcome) -> ModelError:
    """Return the error of the last tier that failed, so that the caller knows whether to retry."""
    details = [a.failure_detail for a in outcome.attempts if a.failure_detail]
    reason = outcome.decision.reason
    why = details[-1] if details else _NOBODY.get(reason, f"No allowed tier was sure ({reason}).")
    error = outcome.error or _left_out(plan, reason)
    told = type(error)(f"No answer for the task {plan.step.task.name!r}. {why}")
    return told.noting(retry_after_s=error.retry_after_s)


_NOBODY = {
    "invalid_output": "No tier's answer had the shape that was asked for.",
    "truncated": "Every tier's answer was cut at its token limit.",
    "provider_error": "Every tier that may answer failed too often and is left alone for a while.",
    "deadline": "No tier that may answer can do so in the time that is left.",
}


def _left_out(plan: Plan, reason: str) -> ModelError:
    """Return the error of a walk on which nobody could be asked."""
    if reason == "provider_error":
        waits = [gate.wait_s for gate in plan.step.gates.values() if gate.is_down]
        return Down("").noting(retry_after_s=min(waits, default=None))
    return TimedOut("") if reason == "deadline" else Unavailable("")


def note(plan: Plan, outcome: Outcome) -> str:
    """Say plainly when a tier that should have answered could not."""
    missed = [
        a
        for a in outcome.attempts
        if a.kind == "call" and a.failure in ("unavailable", "incapable")
    ]
    if missed:
        return f"answered by {outcome.answered_by}; {missed[-1].failure_detail}"
    if outcome.completion is not None and outcome.completion.recorded:
        return plan.step.tiers[outcome.answered_by or ""].recording
    return ""
