"""The decision: given a policy and what was observed so far, what to do next.

A pure function. It touches no clock, network or chance: remaining time, tiers that are down and
the draw are observations handed to it. Serving, batch, replay and tests all call it, so what is
certified is what is served. No other module compares a signal with a threshold, except the
vectorised twin `replay_array`, which is tested equal to this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan

from msgspec import Struct

from stepdown.core.policy import Action, Clause, Policy, Row, answer_in


class Observation(Struct, frozen=True):
    """What is known now.

    `signals` maps a name such as `expert.confidence` or `draw` to its value, None when it could
    not be read. `invalid` maps a called tier to why its answer must not be sent (invalid_output,
    truncated, provider_error, incapable...). `unavailable` maps a tier to why it cannot be called
    (down, boundary, incapable, no recording), and `polish TIER` to why it cannot polish. `left_s`
    is the time that remains, None without a deadline; `needs_s` maps a tier to the time that a call
    of it takes, where that is known.
    """

    called: tuple[str, ...] = ()
    signals: Mapping[str, float | None] = {}
    invalid: Mapping[str, str] = {}
    unavailable: Mapping[str, str] = {}
    left_s: float | None = None
    needs_s: Mapping[str, float] = {}


class Decision(Struct, frozen=True, omit_defaults=True):
    """What to do, why, on which evidence.

    `outside_guarantee` says what the policy did not foresee.
    """

    action: Action
    reason: str
    signal: str | None = None
    value: float | None = None
    threshold: float | None = None
    outside_guarantee: str | None = None


def decide(policy: Policy, seen: Observation) -> Decision:
    """Return the next action. In doubt it chooses the safer tier and says why."""
    row = policy.by_state.get(seen.called)
    if row is None:
        return beyond(policy, seen, "unforeseen_state")
    for clause in row.when:
        if holds(clause, seen):
            if (why := blocked(clause.then, seen)) is None:
                return _by_clause(clause, clause.then, clause.reason, seen)
            return beyond(policy, seen, why)
    if (why := blocked(row.otherwise, seen)) is not None:
        return beyond(policy, seen, why)
    return _otherwise(row, seen)


def holds(clause: Clause, seen: Observation) -> bool:
    """Return whether a clause applies: its signal reaches its threshold, its answer is usable."""
    value = _known(seen, clause.signal)
    if answer_in(clause.then, seen.called) in seen.invalid:
        return False
    return value is not None and value >= clause.at_least


def _known(seen: Observation, signal: str) -> float | None:
    """The value of a signal; one that is not a number counts as not known."""
    value = seen.signals.get(signal)
    return None if value is None or isnan(value) else value


def blocked(action: Action, seen: Observation) -> str | None:
    """Return why an action cannot be carried out, None when it can."""
    if (sent := answer_in(action, seen.called)) in seen.invalid:
        return seen.invalid[sent]
    if action.kind == "polish":
        return seen.unavailable.get(str(action)) or _out_of_reach(action.target, seen)
    if action.kind == "call":
        return _out_of_reach(action.target, seen)
    return None


def _out_of_reach(tier: str, seen: Observation) -> str | None:
    """Why a tier cannot be asked now: it is not there, or it cannot answer in the time left."""
    if tier in seen.unavailable:
        return seen.unavailable[tier]
    late = seen.left_s is not None and seen.left_s - seen.needs_s.get(tier, 0.0) <= 0
    return "deadline" if late else None


def _by_clause(clause: Clause, action: Action, reason: str, seen: Observation) -> Decision:
    return Decision(action, reason, clause.signal, _known(seen, clause.signal), clause.at_least)


def _otherwise(row: Row, seen: Observation) -> Decision:
    """The row's last word; a doubtful, missing or unusable last answer names the reason."""
    if not row.when:
        return Decision(row.otherwise, row.reason)
    clause = row.when[-1]
    sent = answer_in(clause.then, seen.called)
    if sent in seen.invalid:
        return _by_clause(clause, row.otherwise, seen.invalid[sent], seen)
    known = _known(seen, clause.signal) is not None
    return _by_clause(clause, row.otherwise, row.reason if known else "no_confidence", seen)


def beyond(policy: Policy, seen: Observation, why: str) -> Decision:
    """Return the safest action where the table cannot be followed, for the reason `why`.

    It is the strongest tier that has, or can give, an answer.
    """
    for tier in reversed(policy.tiers):
        if tier in seen.called:
            if tier not in seen.invalid:
                return Decision(Action("accept", tier), why, outside_guarantee=why)
        elif _out_of_reach(tier, seen) is None:
            return Decision(Action("call", tier), why, outside_guarantee=why)
    return Decision(Action("abstain"), why, outside_guarantee=why)
