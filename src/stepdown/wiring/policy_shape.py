"""What kind of table a policy is: what can be reached, and which states need words.

It knows no words and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stepdown.core.derived import Derived, Lead
from stepdown.core.policy import Action, Policy, Row, step_of


def reachable(policy: Policy) -> tuple[Row, ...]:
    """Return the rows that a walk can meet where all is as foreseen, nearest first."""
    found: dict[tuple[str, ...], Row] = {}
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        row = policy.by_state[waiting.pop(0)]
        found[row.called] = row
        waiting += [state for state in _next(row) if state not in found and state not in waiting]
    return tuple(found.values())


def _next(row: Row) -> Iterator[tuple[str, ...]]:
    steps = (step_of(action) for action in row.actions)
    return ((*row.called, step) for step in steps if step is not None)


def answers_alone(policy: Policy) -> str:
    """Return the tier that answers everything, "" where there is more to say."""
    entry, *rest = reachable(policy)
    alone = not entry.when and len(rest) == 1 and is_plain_end(rest[0])
    return entry.otherwise.target if alone else ""


def is_plain_end(row: Row) -> bool:
    """Say whether a state only sends the last answer: nobody needs to be told."""
    last = row.called[-1] if row.called else ""
    return not row.when and row.otherwise == Action("accept", last) if last else False


def is_chain(policy: Policy) -> bool:
    """Say whether no state goes on to two others."""
    return all(len(list(_next(row))) < 2 for row in reachable(policy))


def is_race(row: Row, derived: Mapping[str, Derived]) -> bool:
    """Say whether a state takes whichever choice leads all others, as learned routes do.

    Each clause then compares its choice with exactly those that come after it.
    """
    leads = [derived.get(clause.signal) for clause in row.when]
    if not leads or any(clause.at_least != 0 for clause in row.when):
        return False
    later: tuple[str, ...] = ()
    for lead in reversed(leads):
        if not isinstance(lead, Lead) or (lead.over != later if later else len(lead.over) != 1):
            return False
        later = (lead.of, *lead.over)
    return True
