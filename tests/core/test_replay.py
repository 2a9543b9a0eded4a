"""The two replays agree with each other, for every policy and outcome."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stepdown.core.outcome import Outcome
from stepdown.core.policy import Action, Clause, Policy, Row, cascade, polished, tiers_in
from stepdown.core.replay import replay
from stepdown.core.replay_array import panel, replay_array

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


def same(scalar: float | None, vector: float) -> bool:
    return math.isnan(vector) if scalar is None else math.isclose(scalar, vector, abs_tol=1e-12)


@settings(max_examples=400, deadline=None)
@given(policies(), tables())
def test_the_vectorised_replay_equals_the_scalar_one(
    policy: Policy, data: tuple[list[Outcome], dict[str, dict[str, float | None]]]
) -> None:
    outcomes, free = data
    table = panel(outcomes)
    for name in ("draw", "extra"):
        values = [free[q][name] for q in table.query_ids]
        table = table.with_signal(
            name, np.array([math.nan if v is None else v for v in values], dtype=float)
        )
    vector = replay_array(policy, table)
    for i, query in enumerate(table.query_ids):
        rows = {o.tier: o for o in outcomes if o.query_id == query}
        scalar = replay(policy, rows, free[query])
        assert vector.answer[i] == scalar.answer
        assert vector.called[i] == scalar.called
        assert vector.reason[i] == scalar.reason
        assert vector.outside_guarantee[i] == scalar.outside_guarantee
        assert same(scalar.score, vector.score[i])
        assert same(scalar.cost_usd, vector.cost_usd[i])
        assert same(scalar.latency_s, vector.latency_s[i])


def outcome(tier: str, score: float, confidence: float | None, cost: float | None) -> Outcome:
    return Outcome(
        query_id="q", tier=tier, score=score, cost_usd=cost, signals={"confidence": confidence}
    )


def test_a_confident_small_tier_keeps_the_answer() -> None:
    rows = {"a": outcome("a", 1, 0.9, 0.1), "b": outcome("b", 0, None, 1.0)}
    done = replay(cascade(("a", "b"), (0.8,)), rows)
    assert (done.answer, done.reason, done.cost_usd, done.score) == ("a", "confident", 0.1, 1)


def test_an_unsure_small_tier_escalates_and_both_are_paid() -> None:
    rows = {"a": outcome("a", 1, 0.7, 0.1), "b": outcome("b", 0, None, 1.0)}
    done = replay(cascade(("a", "b"), (0.8,)), rows)
    assert (done.called, done.score, done.cost_usd) == (("a", "b"), 0, 1.1)


def test_an_unknown_cost_makes_the_total_unknown_and_never_zero() -> None:
    rows = {"a": outcome("a", 1, 0.7, None), "b": outcome("b", 0, None, 1.0)}
    assert replay(cascade(("a", "b"), (0.8,)), rows).cost_usd is None
