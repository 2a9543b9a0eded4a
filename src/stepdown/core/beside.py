"""What the ledger keeps beside traces: shadow runs, feedback, changes, and bare counts.

Each is one JSON object that begins with its `record`, so that a spool line says what it is. It
does not know where they are kept.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from stepdown.core.trace import Attempt


class Shadow(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="record", tag="shadow"
):
    """A policy that ran beside the answer which the caller got; its own cost is `cost_usd`.

    `policy_usd` is what the policy would have cost in the caller's place, `caller_usd` what the
    caller's answer cost. `agreed` is None where the two cannot be compared; `why_not` says why.
    `ran` says whose answer was tried: the policy's beside today's model (`policy`), or the
    ceiling's beside an answer of the policy (`ceiling`, an audit). Of an audit `propensity` is the
    chance with which it was drawn, `loss` how far the caller's answer falls short of the ceiling's
    (0..1), `cost_usd` what asking the ceiling cost; what was drawn and not audited has no loss, and
    `why_not` says why.
    """

    id: str
    trace_id: str
    task: str
    at: str
    ran: Literal["policy", "ceiling"] = "policy"
    lock_digest: str | None = None
    caller_tier: str | None = None
    answered_by: str | None = None
    reason: str = ""
    agreed: bool | None = None
    why_not: str = ""
    latency_s: float | None = None
    caller_latency_s: float | None = None
    cost_usd: float | None = None
    policy_usd: float | None = None
    caller_usd: float | None = None
    confidence: float | None = None
    outside_guarantee: str | None = None
    session: str | None = None
    propensity: float | None = None
    loss: float | None = None
    attempts: tuple[Attempt, ...] = ()
    input_digest: str | None = None
    input: str | None = None
    answer: str | None = None
    caller_answer: str | None = None


class Feedback(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="record", tag="feedback"
):
    """What somebody says of an answer: a score, the right label, or a comment."""

    id: str
    trace_id: str
    task: str
    at: str
    score: float | None = None
    label: str | None = None
    comment: str | None = None
    by: str = ""


class Change(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="record", tag="change"
):
    """A change of what is served: whose word it was, when, from what to what.

    `withdrawn`: an alarm took back the promise of a task.
    """

    id: str
    at: str
    by: str
    what: Literal["share", "rollback", "lock", "withdrawn", "model"]
    task: str | None = None
    before: str = ""
    after: str = ""


class Tally(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="record", tag="tally"):
    """One request of a task that stores nothing: who answered in which hour, and the sums' parts.

    `id` is random and stands nowhere else; there is no token count, text, digest or request id.
    """

    id: str
    task: str
    hour: str
    kind: Literal["answer", "shadow", "audit"] = "answer"
    answered_by: str | None = None
    escalated: bool = False
    guarantee: str = "none"
    outside_guarantee: str | None = None
    arm: str | None = None
    agreed: bool | None = None
    propensity: float | None = None
    loss: float | None = None
    why_not: str = ""
    latency_s: float | None = None
    cost_usd: float | None = None
    baseline_usd: float | None = None


Beside = Shadow | Feedback | Change | Tally
