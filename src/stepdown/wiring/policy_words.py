"""A policy in words, for people: where it starts, when it keeps, what comes next.

It decides nothing: it only reads the table, and the formulas of the derived signals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

from stepdown.core.derived import TRIAGE, Derived, Lead
from stepdown.core.policy import Action, Clause, Policy, Row, pair_in, step_of, tiers_in

DRAW = "draw"
BESIDE = "nothing beside "  # how the formula of two conditions begins
WHOLE = 4  # states that one sentence can hold


def policy_words(policy: Policy, derived: Mapping[str, Derived] = {}) -> str:
    """Return a policy in one sentence; a large table gives its entry and its size."""
    rows = [row for row in reachable(policy) if not _plain_end(row)]
    if len(rows) > WHOLE:
        calls = len({tier for row in reachable(policy) for tier in tiers_in(row.called)})
        return f"{_row(policy, rows[0], derived)}; then {len(rows) - 1} states over {calls} tiers"
    said = [_after(policy, row, derived) for row in rows]
    only = _answers_alone(policy)
    return f"always {only}" if only else "; ".join(part for part in said if part)


def short_policy(policy: Policy, derived: Mapping[str, Derived] = {}) -> str:
    """Return a policy in very few words, for a cell: `small ≥ 0.9 → mid ≥ 0.8 → big`."""
    rows = [row for row in reachable(policy) if row.called]
    only = _answers_alone(policy)
    if only:
        return f"always {only}"
    entry = policy.by_state[()]
    if any(is_race(row, derived) for row in reachable(policy)):
        return _routes(policy, derived)
    chain = all(len(list(_next(row))) < 2 and len(row.when) < 2 for row in reachable(policy))
    if not chain and not all(clause.signal == DRAW for clause in entry.when):
        return f"from {entry.otherwise.target}, {len(rows)} states"
    if not chain:
        share = f"{1 - min(1.0, max(0.0, entry.when[0].at_least)):.0%}"
        return f"{share} {entry.when[0].then.target}, else {entry.otherwise.target}"
    kept = [_short(row, derived) for row in rows if not _plain_end(row)]
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


def _short(row: Row, derived: Mapping[str, Derived]) -> str:
    if not row.when:
        return row.called[-1]
    clause = row.when[0]
    what = " lead" if isinstance(derived.get(clause.signal), Lead) else ""
    return f"{row.called[-1]}{what} ≥ {clause.at_least or 0.0:.3g}"


def state_words(policy: Policy, row: Row, derived: Mapping[str, Derived] = {}) -> str:
    """Return what a policy does in one state, "" where it only sends the last answer."""
    if _plain_end(row):
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


def _answers_alone(policy: Policy) -> str:
    """The tier that answers everything, "" where there is more to say."""
    entry, *rest = reachable(policy)
    alone = not entry.when and len(rest) == 1 and _plain_end(rest[0])
    return entry.otherwise.target if alone else ""


def _plain_end(row: Row) -> bool:
    """Whether a state only sends the last answer: nobody needs to be told."""
    last = row.called[-1] if row.called else ""
    return not row.when and row.otherwise == Action("accept", last) if last else False


def _after(policy: Policy, row: Row, derived: Mapping[str, Derived]) -> str:
    """Words for a state; in a chain the tier that was just named needs no second naming."""
    chain = all(len(list(_next(r))) < 2 for r in reachable(policy))
    said = _row(policy, row, derived)
    return said if chain or not row.called else f"after {_names(row.called)} {said}"


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
