"""The table of conversations: bounded, forgotten in time, blind to the caller's own words."""

from __future__ import annotations

from stepdown.serve.sessions import Sessions, session_digest


class Hand:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_tier_is_remembered_for_a_while_and_each_turn_renews_it() -> None:
    hand = Hand()
    sessions = Sessions(lifetime_s=300, seconds=hand)
    sessions.remember("draft", "a", "big")
    hand.now = 299
    assert sessions.tier("draft", "a") == "big"
    sessions.remember("draft", "a", "big")
    hand.now = 598
    assert sessions.tier("draft", "a") == "big"
    hand.now = 600
    assert sessions.tier("draft", "a") is None
    assert len(sessions) == 0


def test_tasks_do_not_mix() -> None:
    sessions = Sessions()
    sessions.remember("draft", "a", "big")
    assert sessions.tier("intent", "a") is None


def test_the_table_is_bounded_and_the_oldest_goes_first() -> None:
    sessions = Sessions(most=100)
    for number in range(1000):
        sessions.remember("draft", str(number), "big")
    assert len(sessions) == 100
    assert sessions.tier("draft", "899") is None
    assert sessions.tier("draft", "900") == "big"


def test_a_lifetime_of_nothing_remembers_nothing() -> None:
    sessions = Sessions(lifetime_s=0)
    sessions.remember("draft", "a", "big")
    assert len(sessions) == 0


def test_the_books_hold_a_digest_and_not_the_callers_word() -> None:
    assert session_digest("shop", None) is None
    found = session_digest("shop", "anna@example.com")
    assert found is not None
    assert "anna" not in found
    assert found == session_digest("shop", "anna@example.com")
    assert found != session_digest("other", "anna@example.com")
