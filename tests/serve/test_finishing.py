"""Polishing changes no decision about who drafts, and live and replay agree on it."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from policy_strategies import NUMBERS, formulas, policies_with
from serve_fakes import QUESTION, step_of_outcomes
from test_agreement import buyable, queries, seen_live, seen_replayed

from stepdown.certify.finishing import finish_words, finished, is_measured, unfinished
from stepdown.core.derived import Derived
from stepdown.core.outcome import Outcome
from stepdown.core.policy import Action, Policy, Row, cascade
from stepdown.core.replay import replay
from stepdown.core.replay_array import panel, replay_array
from stepdown.core.task import Task
from stepdown.serve.cascade import run

DRAFT = Task(name="draft", kind="draft", tiers=("a", "b", "c"), finish="when_unsure")
FINISHES = st.sampled_from(("always", "when_unsure"))
BELOW = st.sampled_from((0.0, 0.25, 0.5, 0.75, 1.0))


def without_polish(policy: Policy) -> Policy:
    """The policy of hypothesis, its own polishing taken out: only `finished` adds any here."""
    return unfinished(policy)


@settings(max_examples=150, deadline=None)
@given(policies_with(formulas()), queries(), NUMBERS, FINISHES, BELOW)
def test_the_draft_is_the_same_with_and_without_a_finish(
    made: tuple[Policy, dict[str, Derived]],
    rows: dict[str, Outcome],
    draw: float,
    finish: Any,
    below: float,
) -> None:
    plain, derived = without_polish(made[0]), made[1]
    task = replace(DRAFT, finish=finish, polish_below=below)
    done = finished(plain, task)
    both = {**derived, **done.derived}
    done.policy.check_derived(both)
    one, other = (
        replay(policy, rows, {"draw": draw}, both) for policy in (plain, unfinished(done.policy))
    )
    assert (one.answer, one.called, one.outside_guarantee) == (
        other.answer,
        other.called,
        other.outside_guarantee,
    )


@settings(max_examples=120, deadline=None)
@given(policies_with(formulas()), queries(), NUMBERS, FINISHES, BELOW)
def test_live_and_both_replays_agree_on_what_is_polished(
    made: tuple[Policy, dict[str, Derived]],
    rows: dict[str, Outcome],
    draw: float,
    finish: Any,
    below: float,
) -> None:
    done = finished(made[0], replace(DRAFT, finish=finish, polish_below=below))
    policy, derived = done.policy, {**made[1], **done.derived}
    rows = buyable(policy, rows)
    step = step_of_outcomes(policy, rows, derived)
    live = asyncio.run(run(step, QUESTION, request_id="q", draw=draw))
    scalar = replay(policy, rows, {"draw": draw}, derived)
    table = panel(rows.values()).with_signal("draw", np.array([draw]))
    vector = replay_array(policy, table, derived)
    assert seen_live(live) == seen_replayed(scalar)
    assert (vector.answer[0], vector.reason[0]) == (scalar.answer, scalar.reason)
    paid = [attempt.cost_usd for attempt in live.attempts]
    known = [cost for cost in paid if cost is not None]
    assert (scalar.cost_usd is None) == (len(known) < len(paid)) == math.isnan(vector.cost_usd[0])
    assert scalar.cost_usd is None or scalar.cost_usd == pytest.approx(sum(known))


POLICY = cascade(("a", "b", "c"), (0.5, 0.8))


def outcomes(a: float, b: float, **more: Any) -> dict[str, Outcome]:
    made = [("a", a, 0.1), ("b", b, 0.2), ("c", None, 1.0), ("a>c", None, 0.4), ("b>c", None, 0.4)]
    return {
        name: Outcome(
            query_id="q", tier=name, score=1.0, cost_usd=cost, signals={"confidence": sure}, **more
        )
        for name, sure, cost in made
    }


@pytest.mark.parametrize(
    ("finish", "a", "b", "answer", "reason", "cost"),
    [
        ("never", 0.6, 0.0, "a", "confident", 0.1),
        ("always", 0.9, 0.0, "a>c", "confident", 0.5),
        ("when_unsure", 0.9, 0.0, "a", "confident", 0.1),
        ("when_unsure", 0.7, 0.0, "a", "confident", 0.1),
        ("when_unsure", 0.6, 0.0, "a>c", "unsure", 0.5),
        ("when_unsure", 0.1, 0.9, "b", "confident", 0.3),
        ("when_unsure", 0.1, 0.1, "c", "last_tier", 1.3),
        ("always", 0.1, 0.9, "b>c", "confident", 0.7),
    ],
)
def test_a_draft_below_the_declared_confidence_is_polished_and_paid_for(
    finish: Any, a: float, b: float, answer: str, reason: str, cost: float
) -> None:
    policy = finished(POLICY, replace(DRAFT, finish=finish)).policy
    done = replay(policy, outcomes(a, b))
    assert (done.answer, done.reason) == (answer, reason)
    assert done.cost_usd == pytest.approx(cost)


def test_a_tier_does_not_polish_its_own_draft() -> None:
    task = replace(DRAFT, finish="always", polish_by="b")
    found = finished(POLICY, task)
    assert found.pairs == (("a", "b"), ("c", "b"))
    last = found.policy.by_state[("a", "b")].when[0].then
    assert last == Action("accept", "b")


def test_a_draft_without_a_known_confidence_counts_as_unsure() -> None:
    rows = (
        Row(called=(), otherwise=Action("call", "a")),
        Row(called=("a",), otherwise=Action("accept", "a"), reason="last_tier"),
    )
    policy = finished(Policy(tiers=("a", "b", "c"), rows=rows), DRAFT).policy
    table = outcomes(0.0, 0.0)
    unknown = {**table, "a": replace(table["a"], signals={})}
    assert replay(policy, unknown).answer == "a>c"
    assert replay(policy, outcomes(0.7, 0.0)).answer == "a"


def test_a_recording_that_cannot_polish_changes_nothing() -> None:
    found = finished(POLICY, replace(DRAFT, finish="always"), can_polish=False)
    assert (found.policy, found.pairs) == (POLICY, ())
    assert finish_words(DRAFT, found, measured=False) == ""


def test_without_polished_outcomes_the_guarantee_says_that_it_covers_the_draft() -> None:
    found = finished(POLICY, DRAFT)
    rows = outcomes(0.6, 0.6)
    assert is_measured(found, panel(rows.values()))
    bare = [row for name, row in rows.items() if ">" not in name]
    assert not is_measured(found, panel(bare))
    assert "covers the draft, not the polish" in finish_words(DRAFT, found, measured=False)
    declared = finish_words(DRAFT, found, measured=True)
    assert declared.startswith("A draft below 0.7 is polished by c: declared")
    assert "not certified" in declared
