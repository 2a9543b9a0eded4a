"""A policy in very few words, for a cell of a table or a point of a plot."""

from __future__ import annotations

from collections.abc import Mapping

from stepdown.core.derived import Derived, Lead
from stepdown.core.policy import Action, Policy, Row, pair_in, tiers_in
from stepdown.wiring.policy_shape import (
    answers_alone,
    is_chain,
    is_plain_end,
    is_race,
    reachable,
)
from stepdown.wiring.policy_words import DRAW


def short_policy(policy: Policy, derived: Mapping[str, Derived] = {}) -> str:
    """Return a policy in very few words, for a cell: `small ≥ 0.9 → mid ≥ 0.8 → big`."""
    rows = [row for row in reachable(policy) if row.called]
    only = answers_alone(policy)
    if only:
        return f"always {only}"
    entry = policy.by_state[()]
    if any(is_race(row, derived) for row in reachable(policy)):
        return _routes(policy, derived)
    if [clause.signal for clause in entry.when] == [DRAW] and all(map(is_plain_end, rows)):
        share = f"{1 - min(1.0, max(0.0, entry.when[0].at_least)):.0%}"
        return f"{share} {entry.when[0].then.target}, else {entry.otherwise.target}"
    if not is_chain(policy) or any(len(row.when) > 1 for row in rows):
        return f"from {entry.otherwise.target}, {len(rows)} states"
    kept = [_short(row, derived) for row in rows if not is_plain_end(row)]
    return " → ".join([*kept, rows[-1].called[-1]]).replace("?", "")


def _routes(policy: Policy, derived: Mapping[str, Derived]) -> str:
    """The tiers that a route may call, and what a call of the ceiling counts for in score."""
    called = {tier for row in reachable(policy) for tier in tiers_in(row.called)}
    among = "/".join(tier for tier in policy.tiers if tier in called)
    price = _price_of_ceiling(policy, derived)
    return f"routes {among}" + ("" if price is None else f" at {100 * price:.3g} pt")


def _price_of_ceiling(policy: Policy, derived: Mapping[str, Derived]) -> float | None:
    wanted = Action("call", policy.ceiling)
    for row in reachable(policy):
        if row.otherwise == wanted and is_race(row, derived):
            last = derived[row.when[-1].signal]
            return last.less[-1] if isinstance(last, Lead) else None
    return None


def _short(row: Row, derived: Mapping[str, Derived]) -> str:
    if not row.when:
        return row.called[-1]
    clause = row.when[0]
    if pair_in(clause.signal) and 0 < clause.at_least <= 1:
        return f"{row.called[-1]} if {clause.signal}"
    what = " lead" if isinstance(derived.get(clause.signal), Lead) else ""
    return f"{row.called[-1]}{what} ≥ {clause.at_least or 0.0:.3g}"
