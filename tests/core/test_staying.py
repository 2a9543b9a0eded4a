"""A conversation that begins at its tier: sound tables, nothing read that is not there."""

from __future__ import annotations

from hypothesis import given
from policy_strategies import policies

from stepdown.core.policy import Action, Policy, Row, cascade
from stepdown.core.staying import begun_at

THREE = cascade(("small", "mid", "big"), (0.8, 0.6))


def test_a_conversation_begins_at_its_tier_and_may_still_move_on() -> None:
    begun = begun_at(THREE, "mid")
    assert begun is not None
    assert begun.by_state[()].otherwise == Action("call", "mid")
    assert begun.by_state[()].reason == "session"
    assert begun.by_state[("mid",)].when[0].signal == "mid.confidence"
    assert begun.by_state[("mid",)].otherwise == Action("call", "big")
    assert begun.by_state[("mid", "big")].otherwise == Action("accept", "big")


def test_at_its_entry_or_at_a_tier_it_never_asks_a_policy_stays_as_it_is() -> None:
    assert begun_at(THREE, "small") is None
    assert begun_at(THREE, "other") is None


def test_an_answer_that_is_not_there_is_not_accepted() -> None:
    rows = (
        Row(called=(), otherwise=Action("call", "small")),
        Row(called=("small",), otherwise=Action("call", "big")),
        Row(called=("small", "big"), otherwise=Action("accept", "small")),
    )
    begun = begun_at(Policy(tiers=("small", "big"), rows=rows), "big")
    assert begun is not None
    assert begun.by_state[("big",)].otherwise == Action("accept", "big")


@given(policies())
def test_every_policy_begun_anywhere_is_a_sound_table(policy: Policy) -> None:
    for tier in policy.tiers:
        begun = begun_at(policy, tier)
        assert begun is None or begun.by_state[()].otherwise == Action("call", tier)
