"""What happened to one request: every attempt, why it was made, what it cost, who answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from stepdown.core.caller_span import CallerSpan
from stepdown.core.request import Usage

GuaranteeState = Literal["certified", "declared", "ceiling", "withdrawn", "none"]


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of a tier (or one signal bought). `decision` is what the policy decided on it.

    `retries` counts the tries before its last one; where one of them may have cost something that
    nobody knows, `cost_usd` is None.
    """

    id: str
    trace_id: str
    number: int
    tier: str
    kind: Literal["call", "buy", "polish"] = "call"
    why: str = "entry"
    started_at: str
    latency_s: float | None = None
    first_token_s: float | None = None
    cost_usd: float | None = None
    cost_basis: str = "unknown"
    usage: Usage = Usage()
    signals: Mapping[str, float | None] = {}
    confidence: float | None = None
    threshold: float | None = None
    decision: str = ""
    reason: str = ""
    failure: str | None = None
    failure_detail: str | None = None
    tier_digest: str = ""
    recorded: bool = False
    retries: int = 0
    answer: str | None = None


class Trace(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All the attempts that answered one request.

    `answered_by` is the tier whose answer was sent, None for an abstention. Costs and latency are
    None when any part is unknown. `baseline_usd` is what the baseline tier would have cost.
    `outline` tells the shape of a request that matched no contract, without any of its text.
    `first_byte_s` is when the first piece went out, None for an answer that was sent whole. `arm`
    says who was asked while only a share of the traffic goes to the policy: the `policy`, or
    `today`'s model. `session` is the digest of the caller's session id, and
    `caller_span` the span of the caller's own trace. `tiers_agree` says whether the tiers below the
    ceiling that answered gave the same answer, None where fewer than two did.
    """

    id: str
    task: str
    at: str
    attempts: tuple[Attempt, ...]
    answered_by: str | None
    reason: str
    latency_s: float
    first_byte_s: float | None = None
    cost_usd: float | None = None
    baseline_tier: str | None = None
    baseline_usd: float | None = None
    guarantee: GuaranteeState = "none"
    outside_guarantee: str | None = None
    contract_matched: bool = True
    confidence: float | None = None
    lock_digest: str | None = None
    message_id: str | None = None
    outline: str | None = None
    step: str | None = None
    arm: Literal["policy", "today"] | None = None
    session: str | None = None
    caller_span: CallerSpan | None = None
    tiers_agree: bool | None = None
    input: str | None = None
    answer: str | None = None

    @property
    def escalated(self) -> bool:
        """Whether more than one tier was called."""
        return sum(attempt.kind == "call" for attempt in self.attempts) > 1

    @property
    def escalations(self) -> tuple[str, ...]:
        """The reasons of the moves to the next tier, in order."""
        calls = [attempt for attempt in self.attempts if attempt.kind == "call"]
        return tuple(attempt.why for attempt in calls[1:])
