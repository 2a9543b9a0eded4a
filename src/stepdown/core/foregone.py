"""Whether an answer is certain to be sent before it is written: then it may be streamed.

A pure function of the policy and what was observed, made of the parts of `decide`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from stepdown.core.decide import Observation, beyond, blocked, holds
from stepdown.core.policy import Action, Policy, answer_in


def sent_whatever_it_says(policy: Policy, seen: Observation, tier: str) -> bool:
    """Return whether any usable answer of `tier`, called now, would be accepted next.

    `seen.signals` holds raw signals only: those that are known stay as they are; those that are
    not known yet, and derived ones, may take any value.
    """
    after = msgspec.structs.replace(seen, called=(*seen.called, tier))
    send = Action("accept", tier)
    return all(_next(policy, after, action) == send for action in _possible(policy, after))


def _possible(policy: Policy, after: Observation) -> Iterator[Action | None]:
    """Yield each action that the row of this state may take, None where there is no row."""
    row = policy.by_state.get(after.called)
    if row is None:
        yield None
        return
    for clause in row.when:
        if answer_in(clause.then, after.called) in after.invalid:
            continue
        if clause.signal not in after.signals:
            yield clause.then
        elif holds(clause, after):
            yield clause.then
            return
    yield row.otherwise


def _next(policy: Policy, after: Observation, action: Action | None) -> Action:
    """Return what is done in place of an action that cannot be carried out, else the action."""
    if action is not None and blocked(action, after) is None:
        return action
    return beyond(policy, after, "").action
