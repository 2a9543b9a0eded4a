"""The live cascade does what both replays say, for every policy and outcome."""

import asyncio
import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_strategies import NUMBERS, TIERS, formulas, policies, policies_with
from serve_fakes import QUESTION, spoken, step_of_outcomes

from stepdown.core.bought import Bought, check_purchases
from stepdown.core.derived import Derived
from stepdown.core.outcome import Outcome
from stepdown.core.policy import Action, Clause, Policy, Row, polished
from stepdown.core.replay import Replayed, replay
from stepdown.core.replay_array import panel, replay_array
from stepdown.serve.cascade import Outcome as Served
from stepdown.serve.cascade import run

ANSWERED = (None, None, None, None, "invalid_output", "truncated", "refusal")
RAISED = ("provider_error", "overloaded", "deadline", "unavailable")


def lost(failure: str) -> float | None:
    """What a call that raised cost: nothing where it was refused, else nobody knows."""
    return 0.0 if failure == "overloaded" else None


ALL = (*TIERS, *(polished(x, y) for x in TIERS for y in TIERS))


@st.composite
def outcome(draw: st.DrawFn, tier: str) -> Outcome:
    """One outcome as a live tier can give it: what raised has no signal and no known cost."""
    if draw(st.integers(0, 3)) == 0:
        failure = draw(st.sampled_from(RAISED))
        return Outcome(query_id="q", tier=tier, failure=failure, cost_usd=lost(failure))
    return Outcome(
        query_id="q",
        tier=tier,
        cost_usd=draw(st.none() | NUMBERS),
        signals={"confidence": draw(st.none() | NUMBERS | st.just(math.nan))},
        answer=spelled(draw(st.sampled_from(("same", "other"))), tier),
        failure=draw(st.sampled_from(ANSWERED)),
    )


def spelled(word: str, tier: str) -> str:
    """A text of each tier's own, by its white space, which makes no other answer of it."""
    return f"the {word}{' ' * (ALL.index(tier) + 1)}answer"


@st.composite
def queries(draw: st.DrawFn) -> dict[str, Outcome]:
    """What every tier says to one query; some say nothing. About a usable answer more is asked."""
    present = draw(st.sets(st.sampled_from(ALL)))
    rows = {name: draw(outcome(name)) for name in ALL if name in present or name == "a"}
    if rows["a"].failure is None and draw(st.booleans()):
        rows["?extra"] = draw(bought())
    return rows


@st.composite
def bought(draw: st.DrawFn) -> Outcome:
    """A signal as it can be bought; what raised has no value and no known cost."""
    if draw(st.integers(0, 3)) == 0:
        failure = draw(st.sampled_from(RAISED))
        value = {"value": None}
        return Outcome(
            query_id="q", tier="?extra", signals=value, failure=failure, cost_usd=lost(failure)
        )
    value, cost = draw(st.none() | NUMBERS), draw(st.none() | NUMBERS)
    return Outcome(query_id="q", tier="?extra", cost_usd=cost, signals={"value": value})


def buyable(policy: Policy, rows: dict[str, Outcome]) -> dict[str, Outcome]:
    """The rows without the bought signal where the policy may buy it before its answer is there:
    such a policy is refused, and what it buys is unknown.
    """
    try:
        check_purchases(policy, {"extra": Bought(kind="verbal", tier="oracle", of="a")})
    except ValueError:
        return {name: row for name, row in rows.items() if name != "?extra"}
    return rows


def serve(
    policy: Policy,
    rows: dict[str, Outcome],
    draw: float,
    derived: Mapping[str, Derived] = {},
    foretold: Mapping[str, float | None] = {},
) -> Served:
    step = step_of_outcomes(policy, rows, derived, foretold)
    return asyncio.run(run(step, QUESTION, request_id="q", draw=draw))


def total(costs: list[float | None]) -> float | None:
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def seen_live(done: Served) -> tuple[object, ...]:
    reached = [a for a in done.attempts if a.failure != "unavailable"]
    called = tuple(a.tier for a in reached if a.kind == "call")
    return (done.answered_by, called, done.decision.reason, done.outside_guarantee)


def seen_replayed(done: Replayed) -> tuple[object, ...]:
    called = tuple(step for step in done.called if not step.startswith("?"))
    return (done.answer, called, done.reason, done.outside_guarantee)


@settings(max_examples=200, deadline=None)
@given(policies_with(formulas()), queries(), NUMBERS, st.none() | NUMBERS)
def test_the_live_cascade_and_both_replays_give_the_same_trace(
    made: tuple[Policy, dict[str, Derived]],
    rows: dict[str, Outcome],
    draw: float,
    easy: float | None,
) -> None:
    policy, derived = made
    rows = buyable(policy, rows)
    live = serve(policy, rows, draw, derived, {"triage.a": easy})
    scalar = replay(policy, rows, {"draw": draw, "triage.a": easy}, derived)
    table = panel(rows.values()).with_signal("draw", np.array([draw]))
    table = table.with_signal("triage.a", np.array([math.nan if easy is None else easy]))
    vector = replay_array(policy, table, derived)
    assert seen_live(live) == seen_replayed(scalar)
    assert (vector.answer[0], vector.called[0]) == (scalar.answer, scalar.called)
    assert (vector.reason[0], vector.outside_guarantee[0]) == (
        scalar.reason,
        scalar.outside_guarantee,
    )
    paid = total([attempt.cost_usd for attempt in live.attempts])
    assert paid == (None if scalar.cost_usd is None else pytest.approx(scalar.cost_usd))
    assert math.isnan(vector.cost_usd[0]) == (paid is None)
    assert paid is None or vector.cost_usd[0] == pytest.approx(paid)


@settings(max_examples=150, deadline=None)
@given(policies(), queries(), NUMBERS)
def test_an_answer_that_was_found_unusable_is_never_sent(
    policy: Policy, rows: dict[str, Outcome], draw: float
) -> None:
    done = serve(policy, rows, draw)
    if done.answered_by is None:
        assert done.answer is None
    else:
        assert rows[done.answered_by].failure is None
        assert done.answer == spoken(done.answered_by, rows[done.answered_by])


def finishing(then: str) -> Policy:
    clause = Clause("a.confidence", 0.5, Action("polish", "b"))
    return Policy(
        tiers=("a", "b"),
        rows=(
            Row(called=(), otherwise=Action("call", "a")),
            Row(called=("a",), when=(clause,), otherwise=Action.parse(then)),
            Row(called=("a", "b"), otherwise=Action("accept", "b"), reason="last_tier"),
        ),
    )


def rows_of(**failures: str | None) -> dict[str, Outcome]:
    named = {name.replace("_then_", ">"): failure for name, failure in failures.items()}
    return {
        name: Outcome(
            query_id="q",
            tier=name,
            cost_usd=lost(failure) if failure in RAISED else 0.25,
            signals={"confidence": 0.75},
            failure=failure,
        )
        for name, failure in named.items()
    }


@pytest.mark.parametrize("failure", ["invalid_output", "provider_error", "deadline"])
def test_a_polish_that_fails_leaves_the_draft(failure: str) -> None:
    done = serve(finishing("call b"), rows_of(a=None, b=None, a_then_b=failure), 0.0)
    assert (done.answered_by, done.decision.reason) == ("a", "polish_failed")
    assert [attempt.kind for attempt in done.attempts] == ["call", "polish"]


def test_a_tier_that_cannot_polish_this_draft_leaves_the_policy_and_is_asked_itself() -> None:
    done = serve(finishing("call b"), rows_of(a=None, b=None, a_then_b="unavailable"), 0.0)
    assert (done.answered_by, done.outside_guarantee) == ("b", "unavailable")


def test_a_broken_draft_is_not_polished() -> None:
    done = serve(finishing("call b"), rows_of(a="truncated", b=None, a_then_b=None), 0.0)
    assert (done.answered_by, done.outside_guarantee) == ("b", None)
    assert [attempt.kind for attempt in done.attempts] == ["call", "call"]


def test_every_attempt_holds_what_was_decided_on_it() -> None:
    done = serve(finishing("call b"), rows_of(a=None, b=None, a_then_b=None), 0.0)
    first, second = done.attempts
    assert (first.decision, first.reason, first.threshold) == ("polish b", "confident", 0.5)
    assert (first.id, second.id, second.number) == ("q/1", "q/2", 2)
    assert (first.confidence, first.cost_usd, first.cost_basis) == (0.75, 0.25, "hardware")
