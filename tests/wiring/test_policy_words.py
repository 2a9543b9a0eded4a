"""Policies in words: chains, routers, derived signals, mixes."""

from __future__ import annotations

from stepdown.core.derived import Lead, agreement
from stepdown.core.policy import Action, Clause, Policy, Row, cascade, single
from stepdown.wiring.policy_words import policy_words, short_policy, state_lines

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


def test_a_derived_lead_is_said_by_its_tiers() -> None:
    policy = two("lead: accept small in small", 0.0)
    assert policy_words(policy, LEAD) == (
        "starts at small; keeps when its estimated lead over big is at least 0; else big"
    )
    assert short_policy(policy, LEAD) == "small lead ≥ 0 → big"


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


def test_every_state_has_a_line() -> None:
    assert state_lines(CASCADE)[:2] == (
        "entry: starts at small",
        "small: keeps when its confidence is at least 0.9123; else mid",
    )
