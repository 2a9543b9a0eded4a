"""Strategies shared by the tests of core and serve: sound policies, and outcomes to replay."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from stepdown.core.outcome import Outcome
from stepdown.core.policy import Action, Clause, Policy, Row, polished, tiers_in

TIERS = ("a", "b", "c")
FAILURES = (None, None, None, "invalid_output", "truncated", "unavailable")
NUMBERS = st.sampled_from((0.0, 0.25, 0.5, 0.75, 1.0))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A sound table that calls, buys, accepts, polishes and abstains at random."""
    rows: list[Row] = []

    def grow(called: tuple[str, ...]) -> None:
        tiers = tiers_in(called)
        choices = [Action("abstain"), *(Action("accept", t) for t in tiers)]
        choices += [Action("call", t) for t in TIERS if t not in called]
        choices += [Action("polish", t) for t in TIERS if tiers]
        if "?extra" not in called:
            choices.append(Action("buy", "extra"))
        names = ["draw", *(f"{t}.confidence" for t in tiers)]
        names += ["extra"] if "?extra" in called else []
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
    return Policy(tiers=TIERS, rows=tuple(unique.values()))


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Outcome], dict[str, dict[str, float | None]]]:
    """Some queries with outcomes that may be missing, failed, unknown; and their free signals."""
    outcomes: list[Outcome] = []
    free: dict[str, dict[str, float | None]] = {}
    names = [*TIERS, *(polished(x, y) for x in TIERS for y in TIERS)]
    for number in range(draw(st.integers(1, 6))):
        query = f"q{number}"
        free[query] = {"draw": draw(NUMBERS), "extra": draw(st.none() | NUMBERS)}
        present = draw(st.sets(st.sampled_from(names)))
        outcomes += [
            Outcome(
                query_id=query,
                tier=tier,
                score=draw(st.none() | NUMBERS),
                cost_usd=draw(st.none() | NUMBERS),
                latency_s=draw(st.none() | NUMBERS),
                signals={"confidence": draw(st.none() | NUMBERS | st.just(math.nan))},
                failure=draw(st.sampled_from(FAILURES)),
            )
            for tier in names
            if tier in present or tier == "a"
        ]
    return outcomes, free
