"""The two replays agree with each other, for every policy and outcome."""

import math
from collections.abc import Mapping

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_strategies import NUMBERS, TIERS, formulas, policies, policies_with, tables

from stepdown.core.derived import Derived
from stepdown.core.outcome import Outcome
from stepdown.core.policy import Action, Clause, Policy, Row, cascade
from stepdown.core.replay import replay
from stepdown.core.replay_array import Panel, panel, replay_array


def same(scalar: float | None, vector: float) -> bool:
    return math.isnan(vector) if scalar is None else math.isclose(scalar, vector, abs_tol=1e-12)


Made = tuple[Policy, dict[str, Derived]]
Data = tuple[list[Outcome], dict[str, dict[str, float | None]]]


def vector_panel(data: Data) -> Panel:
    outcomes, free = data
    table = panel(outcomes)
    bought = {o.query_id: o.signals["value"] for o in outcomes if o.tier == "?extra"}
    for name in ("draw", "triage.a", "extra"):
        known = {q: row[name] for q, row in free.items()} | (bought if name == "extra" else {})
        values = [known[q] for q in table.query_ids]
        column = np.array([math.nan if v is None else v for v in values], dtype=float)
        table = table.with_signal(name, column)
    return table


def assert_same(
    policy: Policy,
    derived: dict[str, Derived],
    data: Data,
    table: Panel,
    deadline_s: float | None = None,
    needs_s: Mapping[str, float] = {},
) -> None:
    outcomes, free = data
    vector = replay_array(policy, table, derived, deadline_s=deadline_s, needs_s=needs_s)
    for i, query in enumerate(table.query_ids):
        rows = {o.tier: o for o in outcomes if o.query_id == query}
        scalar = replay(policy, rows, free[query], derived, deadline_s=deadline_s, needs_s=needs_s)
        assert vector.answer[i] == scalar.answer
        assert vector.called[i] == scalar.called
        assert vector.reason[i] == scalar.reason
        assert vector.outside_guarantee[i] == scalar.outside_guarantee
        assert same(scalar.score, vector.score[i])
        assert same(scalar.cost_usd, vector.cost_usd[i])
        assert same(scalar.latency_s, vector.latency_s[i])


@settings(max_examples=100, deadline=None)
@given(policies(), tables())
def test_the_vectorised_replay_equals_the_scalar_one(policy: Policy, data: Data) -> None:
    assert_same(policy, {}, data, vector_panel(data))


@settings(max_examples=200, deadline=None)
@given(policies_with(formulas()), tables())
def test_with_derived_signals_agreement_and_prices_both_replays_agree(
    made: Made, data: Data
) -> None:
    policy, derived = made
    policy.check_derived(derived)
    assert_same(policy, derived, data, vector_panel(data))


@settings(max_examples=60, deadline=None)
@given(policies_with(formulas()), tables())
def test_derived_signals_that_were_made_beforehand_change_nothing(made: Made, data: Data) -> None:
    policy, derived = made
    table = vector_panel(data).with_derived(derived)
    assert_same(policy, derived, data, table)


@settings(max_examples=200, deadline=None)
@given(
    policies_with(formulas()),
    tables(),
    st.sampled_from((0.0, 0.5, 1.0, 1.75)),
    st.dictionaries(st.sampled_from(TIERS), NUMBERS),
)
def test_with_a_deadline_both_replays_skip_the_same_tiers(
    made: Made, data: Data, deadline_s: float, needs_s: dict[str, float]
) -> None:
    policy, derived = made
    assert_same(policy, derived, data, vector_panel(data), deadline_s, needs_s)


def test_a_tier_that_cannot_make_the_deadline_is_skipped_outside_the_guarantee() -> None:
    doubtful = msgspec.structs.replace(outcome("a", 0.5, 0.1, 0.0), latency_s=0.25)
    rows = {"a": doubtful, "b": outcome("b", 1.0, None, 0.0)}
    policy = cascade(("a", "b"), (0.8,))
    late = replay(policy, rows, deadline_s=1.0, needs_s={"b": 2.0})
    assert (late.answer, late.reason, late.outside_guarantee) == ("a", "deadline", "deadline")
    assert replay(policy, rows, deadline_s=2.5, needs_s={"b": 2.0}).answer == "b"
    over = replay(policy, rows, deadline_s=0.0)
    assert (over.answer, over.outside_guarantee) == (None, "deadline")


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


def finishing(outcomes: list[Outcome]) -> list[Outcome]:
    """The outcomes with a polish of the draft that must not be used."""
    return [*outcomes, outcome("a>b", 1, None, 0.5)]


FINISH = Policy(
    tiers=("a", "b"),
    rows=(
        Row(called=(), otherwise=Action("call", "a")),
        Row(
            called=("a",),
            when=(Clause("a.confidence", 0.8, Action("polish", "b")),),
            otherwise=Action("call", "b"),
        ),
        Row(called=("a", "b"), otherwise=Action("accept", "b"), reason="last_tier"),
    ),
)


def test_a_draft_that_must_not_be_sent_is_not_polished_either() -> None:
    broken = Outcome(
        query_id="q", tier="a", score=0, failure="truncated", signals={"confidence": 0.9}
    )
    rows = {o.tier: o for o in finishing([broken, outcome("b", 1, None, 1.0)])}
    done = replay(FINISH, rows)
    assert (done.answer, done.called, done.outside_guarantee) == ("b", ("a", "b"), None)
    assert replay_array(FINISH, panel(rows.values())).answer[0] == "b"


def test_a_sure_draft_is_polished_and_both_calls_are_paid() -> None:
    rows = {o.tier: o for o in finishing([outcome("a", 1, 0.9, 0.1), outcome("b", 1, None, 1.0)])}
    done = replay(FINISH, rows)
    assert (done.answer, done.reason, done.cost_usd) == ("a>b", "confident", 0.6)


def test_a_query_with_two_outcomes_of_one_tier_is_refused() -> None:
    twice = outcome("a", 1, 0.9, 0.1)
    with pytest.raises(ValueError, match="two outcomes of 'a'"):
        panel([twice, twice])


def test_part_of_a_panel_holds_the_rows_that_were_asked_for() -> None:
    rows = [Outcome(query_id=f"q{i}", tier="a", score=i / 4, group=f"g{i}") for i in range(4)]
    part = panel(rows).take(np.array([3, 1]))
    assert (part.query_ids, part.groups) == (("q3", "q1"), ("g3", "g1"))
    assert part.score["a"].tolist() == [0.75, 0.25]


def test_what_is_bought_is_paid_for_and_read() -> None:
    policy = Policy(
        tiers=("a", "b"),
        rows=(
            Row(called=(), otherwise=Action("call", "a")),
            Row(called=("a",), otherwise=Action("buy", "vote")),
            Row(
                called=("a", "?vote"),
                when=(Clause("vote", 0.5, Action("accept", "a")),),
                otherwise=Action("abstain"),
            ),
        ),
    )
    vote = Outcome(query_id="q", tier="?vote", cost_usd=0.25, signals={"value": 0.5})
    rows = {o.tier: o for o in (outcome("a", 1, None, 0.5), outcome("b", 1, None, 1.0), vote)}
    done, vector = replay(policy, rows), replay_array(policy, panel(rows.values()))
    assert (done.answer, done.cost_usd) == ("a", 0.75)
    assert (vector.answer[0], vector.cost_usd[0]) == ("a", 0.75)


def test_tiers_agree_by_the_key_of_their_answers_and_a_failed_answer_agrees_with_nobody() -> None:
    said = {"a": "Yes.", "b": "yes", "c": "no"}
    rows = [Outcome(query_id="q1", tier=tier, answer=answer) for tier, answer in said.items()]
    rows += [
        Outcome(query_id="q2", tier="a", answer="yes", failure="truncated"),
        Outcome(query_id="q2", tier="b", answer="yes"),
    ]
    policy = Policy(
        tiers=("a", "b"),
        rows=(
            Row(called=(), otherwise=Action("call", "a")),
            Row(called=("a",), otherwise=Action("call", "b")),
            Row(
                called=("a", "b"),
                when=(Clause("a=b", 1.0, Action("accept", "b"), "agreed"),),
                otherwise=Action("abstain"),
                reason="differ",
            ),
        ),
    )
    assert replay_array(policy, panel(rows)).reason.tolist() == ["agreed", "no_confidence"]
