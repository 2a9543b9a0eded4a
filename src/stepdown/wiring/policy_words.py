"""A policy in words, for people: where it starts, when it keeps, what comes next.

It decides nothing: it only reads the table, and the formulas of the derived signals.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from stepdown.core.derived import TRIAGE, Derived, Lead
from stepdown.core.policy import Action, Clause, Policy, Row, pair_in, tiers_in
from stepdown.wiring.policy_shape import (
    answers_alone,
    is_chain,
    is_plain_end,
    is_race,
    reachable,
)

DRAW = "draw"
BESIDE = "nothing beside "  # how the formula of two conditions begins
WHOLE = 4  # states that one sentence can hold


def policy_words(policy: Policy, derived: Mapping[str, Derived] = {}) -> str:
    """Return a policy in one sentence; a large table gives its entry and its size."""
    rows = [row for row in reachable(policy) if not is_plain_end(row)]
    if len(rows) > WHOLE:
        calls = len({tier for row in reachable(policy) for tier in tiers_in(row.called)})
        return f"{_row(policy, rows[0], derived)}; then {len(rows) - 1} states over {calls} tiers"
    said = [_after(policy, row, derived) for row in rows]
    only = answers_alone(policy)
    return f"always {only}" if only else "; ".join(part for part in said if part)


def state_words(policy: Policy, row: Row, derived: Mapping[str, Derived] = {}) -> str:
    """Return what a policy does in one state, "" where it only sends the last answer."""
    if is_plain_end(row):
        return ""
    if is_race(row, derived) or not row.when:
        return _choices(row)
    return _row(policy, row, derived)


def _choices(row: Row) -> str:
    """Every choice of a state, those of a kind together: `keeps a or b, or asks c`."""
    kept = [a.target for a in row.actions if a.kind == "accept"]
    asked = [a.target for a in row.actions if a.kind == "call"]
    other = [_act(a, row) for a in row.actions if a.kind not in ("accept", "call")]
    said = [f"asks {_listed(asked, 'or')}"] if asked else []
    if kept:
        said.insert(0, "keeps" if _keeps_last(row) else f"keeps {_listed(kept, 'or')}")
    return ", or ".join([*said, *other])


def _after(policy: Policy, row: Row, derived: Mapping[str, Derived]) -> str:
    """Words for a state; in a chain the tier that was just named needs no second naming."""
    said = _row(policy, row, derived)
    return said if is_chain(policy) or not row.called else f"after {_names(row.called)} {said}"


def _row(policy: Policy, row: Row, derived: Mapping[str, Derived]) -> str:
    if is_race(row, derived):
        return _race(row)
    if not row.called:
        return _entry(policy, row, derived)
    parts = [f"{_act(c.then, row)} {_when(policy, c, row, derived)}" for c in row.when]
    lead = "else " if parts else "then " if row.otherwise.kind == "call" else ""
    return "; ".join([*parts, f"{lead}{_act(row.otherwise, row)}"])


def _race(row: Row) -> str:
    """A state that weighs its choices against each other, as words."""
    which = "more" if len(row.actions) == 2 else "most"
    choices = _choices(row) if row.called else f"starts at {_choices(row).removeprefix('asks ')}"
    return f"{choices}, whichever is worth {which}"


def _entry(policy: Policy, row: Row, derived: Mapping[str, Derived]) -> str:
    if not row.when:
        return f"starts at {_act(row.otherwise, row)}"
    parts = [f"at {_act(c.then, row)} {_when(policy, c, row, derived)}" for c in row.when]
    return f"starts {', '.join(parts)}, else at {_act(row.otherwise, row)}"


def _act(action: Action, row: Row) -> str:
    said = {"call": action.target, "buy": f"buys {action.target}", "abstain": "a person"}
    if action.kind == "accept":
        return "keeps" if _keeps_last(row) else f"keeps {action.target}"
    return said.get(action.kind, f"polishes with {action.target}")


def _keeps_last(row: Row) -> bool:
    """Whether a state can keep one answer only, and that the last: "keeps" says enough."""
    kept = [action.target for action in row.actions if action.kind == "accept"]
    return kept == [row.called[-1]]


def _when(policy: Policy, clause: Clause, row: Row, derived: Mapping[str, Derived]) -> str:
    if clause.signal == DRAW:
        return f"in {1 - min(1.0, max(0.0, clause.at_least)):.1%} of calls, by chance"
    formula = derived.get(clause.signal)
    if isinstance(formula, Lead) and formula.of.startswith(BESIDE):
        return f"when {_both(policy, clause.signal, row, derived)}"
    pair = pair_in(clause.signal)
    if pair and 0 < clause.at_least <= 1:
        return f"when {' and '.join(sorted(pair))} agree"
    said = signal_words(clause.signal, policy.tiers, row.called, derived)
    return f"when {said} is {_level(clause.at_least)}"


def _both(policy: Policy, name: str, row: Row, derived: Mapping[str, Derived]) -> str:
    """Two conditions in one signal, as `finish = when_unsure` writes them (`certify/finishing`)."""
    first, second = (part.rpartition(" >= ") for part in name.rsplit(" and ", 1))
    clauses = [
        Clause(signal, float(level), Action("accept", row.called[-1]))
        for signal, _, level in (first, second)
    ]
    return " and ".join(_when(policy, c, row, derived).removeprefix("when ") for c in clauses)


def _level(value: float) -> str:
    if value == -inf:
        return "known"
    return f"at least {0.0 if value == 0 else value:.4g}"


def signal_words(
    name: str,
    tiers: tuple[str, ...],
    called: tuple[str, ...] = (),
    derived: Mapping[str, Derived] = {},
) -> str:
    """Return a signal in words; "its" stands for the tier that was called last."""
    formula = derived.get(name)
    if isinstance(formula, Lead):
        own = _owner(formula.of, tiers)
        over = [_owner(rival, tiers) or rival for rival in formula.over]
        return f"{_whose(own or formula.of, called)} estimated lead over {_listed(over)}"
    if name.startswith(f"{TRIAGE}."):
        return f"the chance of {name.removeprefix(f'{TRIAGE}.')} before any call"
    owner = _owner(name, tiers)
    if not owner:
        return name
    what = name.partition(": ")[0] if ": " in name else name.removeprefix(f"{owner}.")
    return f"{_whose(owner, called)} {what.replace('_', ' ')}"


def _whose(owner: str, called: tuple[str, ...]) -> str:
    seen = tiers_in(called)
    return "its" if seen and owner == seen[-1] else f"{owner}'s"


def _owner(name: str, tiers: tuple[str, ...]) -> str:
    """The tier that a signal's name speaks of, "" for none: `TIER.NAME`, `WHAT: TIER in STATE`."""
    spoken = name.partition(": ")[2].partition(" ")[0] or name
    found = [t for t in tiers if spoken == t or name.startswith(f"{t}.")]
    return max(found, key=len, default="")


def _names(called: tuple[str, ...]) -> str:
    return _listed([step.removeprefix("?") for step in called])


def _listed(names: list[str], last: str = "and") -> str:
    names = list(dict.fromkeys(names))
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
