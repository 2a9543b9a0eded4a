"""Strategies shared by the tests of core and serve: sound policies, and outcomes to replay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations

from hypothesis import strategies as st

from stepdown.core.derived import Derived, Lead, Linear, agreement, raw_inputs
from stepdown.core.outcome import BOUGHT, Outcome
from stepdown.core.policy import Action, Clause, Policy, Row, confidence_of, polished, tiers_in

TIERS = ("a", "b", "c")
FAILURES = (None, None, None, "invalid_output", "truncated", "unavailable")
NUMBERS = st.sampled_from((0.0, 0.25, 0.5, 0.75, 1.0))
WEIGHTS = st.sampled_from((-2.0, -0.5, 0.0, 0.3, 1.0))
EXTRA = "extra"  # a signal that has to be bought
PAIRS = tuple(agreement(x, y) for x, y in combinations(TIERS, 2))
RAW = ("draw", "triage.a", EXTRA, *(confidence_of(t) for t in TIERS), *PAIRS)
ANSWERS = ("yes", "Yes.", "no", "5", "5.0", '{"a": 1}', '{"a":1}')


@st.composite
def formulas(draw: st.DrawFn) -> dict[str, Derived]:
    """Up to three derived signals; a later one may rest on an earlier one."""
    found: dict[str, Derived] = {}
    for name in ("d0", "d1", "d2")[: draw(st.integers(0, 3))]:
        below = st.sampled_from((*RAW, *found))
        found[name] = draw(linear(below) | lead(below))
    return found


@st.composite
def linear(draw: st.DrawFn, below: st.SearchStrategy[str]) -> Linear:
    """A sum with fills, as it is or through the logistic function; it may have no input."""
    inputs = tuple(draw(st.lists(below, max_size=3)))
    numbers = st.lists(WEIGHTS, min_size=len(inputs), max_size=len(inputs)).map(tuple)
    link = draw(st.sampled_from(("identity", "logistic")))
    return Linear(inputs, draw(numbers), draw(numbers), draw(WEIGHTS), link)


@st.composite
def lead(draw: st.DrawFn, below: st.SearchStrategy[str]) -> Lead:
    """A race of one signal against one or two."""
    over = tuple(draw(st.lists(below, min_size=1, max_size=2)))
    return Lead(draw(below), over, tuple(draw(NUMBERS) for _ in range(len(over) + 1)))


def known_in(called: tuple[str, ...], name: str, derived: Mapping[str, Derived]) -> bool:
    """Say whether everything that a signal rests on can be known in a state."""
    return all(_known_raw(called, raw) for raw in raw_inputs(name, derived))


def _known_raw(called: tuple[str, ...], raw: str) -> bool:
    if raw == EXTRA:
        return f"{BOUGHT}{EXTRA}" in called
    needed = raw.split("=") if "=" in raw else [raw.removesuffix(".confidence")]
    return all(part in called for part in needed if part in TIERS)


@st.composite
def policies_with(
    draw: st.DrawFn, derived: st.SearchStrategy[dict[str, Derived]]
) -> tuple[Policy, dict[str, Derived]]:
    """A sound table that calls, buys, accepts, polishes and abstains at random, and its formulas.

    It reads signals of every kind: read off answers, agreement of tiers, bought, derived.
    """
    formulas_here = draw(derived)
    rows: list[Row] = []

    def grow(called: tuple[str, ...]) -> None:
        tiers = tiers_in(called)
        choices = [Action("abstain"), *(Action("accept", t) for t in tiers)]
        choices += [Action("call", t) for t in TIERS if t not in called]
        choices += [Action("polish", t) for t in TIERS if tiers]
        if f"{BOUGHT}{EXTRA}" not in called:
            choices.append(Action("buy", EXTRA))
        names = [n for n in (*RAW, *formulas_here) if known_in(called, n, formulas_here)]
        when = tuple(
            Clause(draw(st.sampled_from(names)), draw(NUMBERS), draw(st.sampled_from(choices)))
            for _ in range(draw(st.integers(0, 2)))
        )
        row = Row(called=called, when=when, otherwise=draw(st.sampled_from(choices)))
        rows.append(row)
        known = {r.called for r in rows}
        for action in row.actions:
            step = {"call": action.target, "buy": f"?{action.target}"}.get(action.kind)
            if step and (*called, step) not in known:
                known.add((*called, step))
                grow((*called, step))

    grow(())
    unique = {row.called: row for row in rows}
    return Policy(tiers=TIERS, rows=tuple(unique.values())), formulas_here


def policies() -> st.SearchStrategy[Policy]:
    """A sound table that reads no derived signal."""
    return policies_with(st.just({})).map(lambda made: made[0])


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Outcome], dict[str, dict[str, float | None]]]:
    """Some queries with outcomes that may be missing, failed, unknown; and their free signals.

    A bought signal with an outcome has a price; without one it costs nothing.
    """
    outcomes: list[Outcome] = []
    free: dict[str, dict[str, float | None]] = {}
    names = [*TIERS, *(polished(x, y) for x in TIERS for y in TIERS), f"{BOUGHT}{EXTRA}"]
    for number in range(draw(st.integers(1, 6))):
        query = f"q{number}"
        free[query] = {n: draw(st.none() | NUMBERS) for n in ("draw", "triage.a", EXTRA)}
        present = draw(st.sets(st.sampled_from(names)))
        outcomes += [draw(_outcome(query, t)) for t in names if t in present or t == "a"]
    return outcomes, free


@st.composite
def _outcome(draw: st.DrawFn, query: str, tier: str) -> Outcome:
    bought = tier.startswith(BOUGHT)
    name = "value" if bought else "confidence"
    return Outcome(
        query_id=query,
        tier=tier,
        score=draw(st.none() | NUMBERS),
        cost_usd=draw(st.none() | NUMBERS),
        latency_s=draw(st.none() | NUMBERS),
        signals={name: draw(st.none() | NUMBERS | st.just(math.nan))},
        answer=None if bought else draw(st.none() | st.sampled_from(ANSWERS)),
        failure=draw(st.sampled_from(FAILURES)),
    )
