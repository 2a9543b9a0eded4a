"""Replay one query's recorded outcomes through a policy, step by step: the reference."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from stepdown.core.answers import answer_key
from stepdown.core.decide import Decision
from stepdown.core.derived import Derived
from stepdown.core.outcome import BOUGHT, Outcome, named_signals
from stepdown.core.policy import Policy, polished, tiers_in
from stepdown.core.walk import Walk


class Replayed(Struct, frozen=True):
    """What the policy would have done: `answer` names the tier (or `DRAFT>POLISH`), None abstains.

    `score`, `cost_usd` and `latency_s` are None when any part of them is unknown.
    """

    answer: str | None
    called: tuple[str, ...]
    reason: str
    outside_guarantee: str | None
    score: float | None
    cost_usd: float | None
    latency_s: float | None


def replay(
    policy: Policy,
    outcomes: Mapping[str, Outcome],
    signals: Mapping[str, float | None] | None = None,
    derived: Mapping[str, Derived] = {},
    *,
    deadline_s: float | None = None,
    needs_s: Mapping[str, float] = {},
) -> Replayed:
    """Return what `policy` does with the recorded `outcomes` (tier -> outcome) of one query.

    `signals` are known before any call (`draw`, triage) or can be bought for nothing; one that
    costs something has an outcome under `?NAME`. A tier without an outcome, or whose outcome failed
    as `unavailable`, cannot be called; the outcome of a polished draft stands under `DRAFT>POLISH`.
    A polish that fails leaves the draft. With `deadline_s`, the time left is that less the recorded
    latencies so far, and unknown when one of them is; `needs_s` is what a call of a tier takes.
    """
    known = dict(signals or {})
    walk = Walk(policy, known, derived)
    for tier in policy.tiers:
        if not _can(outcomes, tier):
            walk.down(tier, "unavailable")
    walk.needs_s = needs_s
    outside: str | None = None
    while True:
        walk.left_s = _left(deadline_s, walk.called, outcomes)
        decision = walk.next()
        outside = outside or decision.outside_guarantee
        action = decision.action
        if action.kind == "call":
            outcome = outcomes[action.target]
            key = None if outcome.answer is None else answer_key(outcome.answer)
            walk.answered(action.target, named_signals(outcome), outcome.failure, key)
            _note_polish(walk, outcomes)
        elif action.kind == "buy":
            walk.bought(action.target, _bought(action.target, outcomes, known))
        else:
            return _end(walk, decision, outcomes, outside)


def _left(
    deadline_s: float | None, called: tuple[str, ...], outcomes: Mapping[str, Outcome]
) -> float | None:
    spent = _total([outcomes[step].latency_s for step in called if _can(outcomes, step)])
    return None if deadline_s is None or spent is None else deadline_s - spent


def _bought(
    name: str, outcomes: Mapping[str, Outcome], free: Mapping[str, float | None]
) -> float | None:
    row = outcomes.get(f"{BOUGHT}{name}")
    return free.get(name) if row is None else row.signals.get("value")


def _can(outcomes: Mapping[str, Outcome], name: str) -> bool:
    return name in outcomes and outcomes[name].failure != "unavailable"


def _note_polish(walk: Walk, outcomes: Mapping[str, Outcome]) -> None:
    draft = tiers_in(walk.called)[-1]
    for tier in walk.policy.tiers:
        walk.unavailable.pop(f"polish {tier}", None)
        if not _can(outcomes, polished(draft, tier)):
            walk.down(f"polish {tier}", "unavailable")


def _end(
    walk: Walk, decision: Decision, outcomes: Mapping[str, Outcome], outside: str | None
) -> Replayed:
    answer, reason = decision.action.target or None, decision.reason
    paid = [outcomes[step] for step in walk.called if _can(outcomes, step)]
    if decision.action.kind == "polish":
        draft = tiers_in(walk.called)[-1]
        finished = outcomes[polished(draft, decision.action.target)]
        paid.append(finished)
        answer = draft if finished.failure else finished.tier
        reason = "polish_failed" if finished.failure else reason
    return Replayed(
        answer=answer,
        called=walk.called,
        reason=reason,
        outside_guarantee=outside,
        score=outcomes[answer].score if answer else None,
        cost_usd=_total([outcome.cost_usd for outcome in paid]),
        latency_s=_total([outcome.latency_s for outcome in paid]),
    )


def _total(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
