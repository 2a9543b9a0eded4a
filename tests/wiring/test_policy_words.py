"""Policies in words: chains, routers, derived signals, mixes."""

from __future__ import annotations

import numpy as np
from msgspec import structs

from stepdown.certify.finishing import finished
from stepdown.core.derived import Derived, Lead, agreement
from stepdown.core.outcome import Outcome
from stepdown.core.policy import Action, Clause, Policy, Row, cascade, single
from stepdown.core.replay_array import panel, replay_array
from stepdown.core.task import Task
from stepdown.wiring.policy_shape import is_race
from stepdown.wiring.policy_short import short_policy
from stepdown.wiring.policy_states import is_long, state_lines, states_table
from stepdown.wiring.policy_words import policy_words, state_words

CASCADE = cascade(("small", "mid", "big"), (0.9123456, 0.8))
LEAD = {
    "lead: accept small in small": Lead(
        of="right: small in small", over=("worth: big after small",), less=(0.0, 0.1)
    )
}


def two(signal: str, at_least: float) -> Policy:
    return Policy(
        tiers=("small", "big"),
        rows=(
            Row(called=(), otherwise=Action("call", "small")),
            Row(
                called=("small",),
                when=(Clause(signal, at_least, Action("accept", "small")),),
                otherwise=Action("call", "big"),
            ),
            Row(called=("small", "big"), otherwise=Action("accept", "big")),
        ),
    )


def test_a_cascade_is_one_sentence() -> None:
    assert policy_words(CASCADE) == (
        "starts at small; keeps when its confidence is at least 0.9123; else mid; "
        "keeps when its confidence is at least 0.8; else big"
    )
    assert short_policy(CASCADE) == "small ≥ 0.912 → mid ≥ 0.8 → big"


def test_one_tier_alone_is_always_that_tier() -> None:
    assert policy_words(single("big")) == "always big"
    assert short_policy(single("big")) == "always big"


def test_choices_that_are_weighed_are_said_once() -> None:
    policy = two("lead: accept small in small", 0.0)
    assert policy_words(policy, LEAD) == (
        "starts at small; keeps, or asks big, whichever is worth more"
    )
    assert short_policy(policy, LEAD) == "routes small/big at 10 pt"


def test_a_lead_above_a_threshold_is_no_race_and_is_said_by_its_tiers() -> None:
    policy = two("lead: accept small in small", 0.25)
    assert policy_words(policy, LEAD) == (
        "starts at small; keeps when its estimated lead over big is at least 0.25; else big"
    )
    assert short_policy(policy, LEAD) == "small lead ≥ 0.25 → big"


def routed() -> tuple[Policy, dict[str, Derived]]:
    """A route over three tiers, as certify writes it."""
    leads: dict[str, Derived] = {}

    def clause(state: str, action: str, of: str, *over: str) -> Clause:
        name = f"lead: {action} in {state}"
        leads[name] = Lead(of=of, over=over, less=(0.0, *(0.1 for _ in over)))
        return Clause(name, 0.0, Action.parse(action))

    rows = (
        Row(
            called=(),
            when=(clause("nothing", "call a", "wa", "wb", "wc"),
                  clause("nothing", "call b", "wb", "wc")),
            otherwise=Action("call", "c"),
        ),
        Row(called=("a",), otherwise=Action("call", "b")),
        Row(
            called=("b",),
            when=(clause("b", "accept b", "rb", "wc"),),
            otherwise=Action("call", "c"),
        ),
        Row(called=("c",), otherwise=Action("accept", "c")),
        Row(
            called=("a", "b"),
            when=(clause("a+b", "accept a", "ra", "rb", "wc"),
                  clause("a+b", "accept b", "rb", "wc")),
            otherwise=Action("call", "c"),
        ),
        Row(called=("b", "c"), otherwise=Action("accept", "c")),
        Row(
            called=("a", "b", "c"),
            when=(clause("a+b+c", "accept b", "rb", "rc"),),
            otherwise=Action("accept", "c"),
        ),
    )  # fmt: skip
    return Policy(tiers=("a", "b", "c"), rows=rows), leads


def test_a_long_route_is_one_short_sentence() -> None:
    policy, leads = routed()
    assert policy_words(policy, leads) == (
        "starts at a, b or c, whichever is worth most; then 4 states over 3 tiers"
    )
    assert short_policy(policy, leads) == "routes a/b/c at 10 pt"


def test_a_state_says_its_choices_by_kind() -> None:
    policy, leads = routed()
    said = {row.called: state_words(policy, row, leads) for row in policy.rows}
    assert said == {
        (): "asks a, b or c",
        ("a",): "asks b",
        ("b",): "keeps, or asks c",
        ("c",): "",
        ("a", "b"): "keeps a or b, or asks c",
        ("b", "c"): "",
        ("a", "b", "c"): "keeps b or c",
    }


def test_two_conditions_in_one_signal_are_no_race() -> None:
    task = Task(name="t", kind="draft", tiers=("small", "big"), finish="when_unsure")
    made = finished(two("lead: accept small in small", 0.0), task)
    derived = {**LEAD, **made.derived}
    assert not any(is_race(row, derived) for row in made.policy.rows)
    assert policy_words(made.policy, derived) == (
        "starts at small; keeps when its estimated lead over big is at least 0 and its confidence "
        "is at least 0.7; polishes with big when its estimated lead over big is at least 0; else "
        "big"
    )


def test_only_states_that_rows_meet_have_a_line() -> None:
    policy, leads = routed()
    known = {"wa": 0.0, "wb": 0.9, "wc": 0.5, "rb": [0.0] * 3 + [1.0] * 397}
    signals = {name: np.full(400, value) for name, value in known.items()}
    rows = [
        Outcome(query_id=f"q{i}", tier=t, score=1.0, answer=t) for i in range(400) for t in "abc"
    ]
    table = structs.replace(panel(rows), signals=signals)
    found = state_lines(policy, leads, replay_array(policy, table, leads))
    assert [(one.after, one.share, one.does) for one in found.lines] == [
        ("start", 1.0, "asks a, b or c"),
        ("b", 1.0, "keeps, or asks c"),
    ]
    assert (found.left_out, found.weighed) == (3, True)
    told = states_table(found)
    assert len(told.rows) == 2
    assert told.notes[-1].startswith("3 more states are left out")


def test_a_policy_of_one_sentence_needs_no_table() -> None:
    assert not is_long(CASCADE, {})
    assert is_long(*routed())


def test_a_random_mix_is_short() -> None:
    entry = Row(
        called=(),
        when=(Clause("draw", 0.6, Action("call", "big")),),
        otherwise=Action("call", "small"),
    )
    ends = tuple(Row(called=(t,), otherwise=Action("accept", t)) for t in ("small", "big"))
    assert short_policy(Policy(tiers=("small", "big"), rows=(entry, *ends))) == (
        "40% big, else small"
    )


def test_a_router_says_where_it_starts_and_when() -> None:
    entry = Row(
        called=(),
        when=(
            Clause("triage.big", 0.6, Action("call", "big")),
            Clause("draw", 0.9, Action("call", "big")),
        ),
        otherwise=Action("call", "small"),
    )
    ends = tuple(Row(called=(t,), otherwise=Action("accept", t)) for t in ("small", "big"))
    assert policy_words(Policy(tiers=("small", "big"), rows=(entry, *ends))) == (
        "starts at big when the chance of big before any call is at least 0.6, at big in 10.0% of "
        "calls, by chance, else at small"
    )


def test_agreement_of_two_tiers_is_said_as_such() -> None:
    first, second = ("a", "b")
    policy = Policy(
        tiers=("a", "b", "big"),
        rows=(
            Row(called=(), otherwise=Action("call", "a")),
            Row(called=("a",), otherwise=Action("call", "b")),
            Row(
                called=("a", "b"),
                when=(Clause(agreement(first, second), 1.0, Action("accept", "a")),),
                otherwise=Action("call", "big"),
            ),
            Row(called=("a", "b", "big"), otherwise=Action("accept", "big")),
        ),
    )
    assert policy_words(policy) == "starts at a; then b; keeps a when a and b agree; else big"
    assert short_policy(policy) == "a → b if a=b → big"


def test_a_state_that_can_keep_either_answer_names_them() -> None:
    policy = two("small.confidence", 0.5)
    both = Row(
        called=("small", "big"),
        when=(Clause("small.margin", 0.2, Action("accept", "small")),),
        otherwise=Action("accept", "big"),
    )
    policy = Policy(tiers=policy.tiers, rows=(*policy.rows[:2], both))
    assert policy_words(policy).endswith(
        "else big; keeps small when small's margin is at least 0.2; else keeps big"
    )


def test_a_table_that_branches_without_a_clause_at_its_entry_is_short_too() -> None:
    policy = Policy(
        tiers=("a", "b", "big"),
        rows=(
            Row(called=(), otherwise=Action("call", "a")),
            Row(
                called=("a",),
                when=(Clause("a.confidence", 0.5, Action("call", "b")),),
                otherwise=Action("call", "big"),
            ),
            Row(called=("a", "b"), otherwise=Action("accept", "b")),
            Row(called=("a", "big"), otherwise=Action("accept", "big")),
        ),
    )
    assert short_policy(policy) == "from a, 3 states"
