"""Why a request went the way it went, in words: reasons, and what a derived signal said.

It reads a trace alone, without the lock: the names of derived signals say what they weigh
(`certify/policies.py`).
"""

from __future__ import annotations

from stepdown.core.trace import Attempt

REASONS = {
    "entry": "the policy starts there",
    "confident": "its confidence reached the threshold",
    "low_confidence": "what was compared stayed below the threshold",
    "no_confidence": "what should have been compared was unknown",
    "last_tier": "no stronger tier is left",
    "mix": "by the random share of the policy",
    "cross_check": "to compare its answer with the one before",
    "vouched": "the bought signal reached its threshold",
    "agree": "two tiers gave the same answer",
    "worth_calling": "asking it was expected to gain more than it costs",
    "worth_most": "no further call was expected to gain what it costs",
    "unsure": "the draft was less sure than the declared limit",
    "polish_failed": "polishing it failed, so the draft was sent",
    "invalid_output": "the answer before had the wrong shape",
    "truncated": "the answer before was cut",
    "refusal": "the tier before refused",
    "provider_error": "the call before failed",
    "deadline": "the call before took too long",
    "overloaded": "the tier before was overloaded",
    "unavailable": "the tier that was foreseen could not be called",
    "incapable": "the tier that was foreseen cannot take this request",
    "boundary": "the tier that was foreseen is outside the boundary",
    "withdrawn": "the guarantee is overdue or withdrawn, so the ceiling answers",
}
ASKED = {"call": "was asked", "buy": "was asked for a signal", "polish": "was asked to rewrite it"}


def reason_words(reason: str) -> str:
    """Return a reason of a decision in words; one that has none stands as it is."""
    return REASONS.get(reason, reason.replace("_", " "))


def lead_words(attempt: Attempt) -> str:
    """Return what the derived signal said that decided after an attempt, "" where none did."""
    for name, value in attempt.signals.items():
        choice = lead_in(name)
        if choice and value is not None:
            more = "more" if value >= 0 else "less"
            return f"{_doing(choice)} was worth {abs(value):.3f} {more} than the next best choice"
    return ""


def lead_in(signal: str) -> str:
    """Return the action that a lead weighs: `lead: accept small in small` weighs `accept small`."""
    if not signal.startswith("lead: "):
        return ""
    return signal.removeprefix("lead: ").partition(" in ")[0]


def _doing(choice: str) -> str:
    kind, _, target = choice.partition(" ")
    return f"keeping the answer of {target}" if kind == "accept" else f"asking {target}"


def attempt_words(attempt: Attempt) -> str:
    """Return an attempt as a sentence: who was asked and why, and what came of it."""
    said = f"{attempt.number}. {attempt.tier} {ASKED[attempt.kind]}: {reason_words(attempt.why)}."
    if attempt.failure:
        return f"{said} It failed ({attempt.failure.replace('_', ' ')})."
    weighed = lead_words(attempt)
    kind, _, target = attempt.decision.partition(" ")
    sent = {"accept": f"The answer of {target} was sent", "abstain": "Nothing was sent"}
    did = sent.get(kind, f"{target} was next" if target else "")
    why = weighed or reason_words(attempt.reason)
    return f"{said} {did}: {why}." if did else said
