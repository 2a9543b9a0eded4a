"""The circuit breaker: what must hold for every course of calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stepdown.serve.breaker import Breaker, begun, failed, let_go, succeeded

OPEN_S = 10.0
THRESHOLD = 3


def test_a_tier_may_be_probed_just_when_the_wait_is_over_however_times_round() -> None:
    breaker = failed(Breaker(), 9.9, 1, probe=False)
    assert breaker.wait_s(9.9 + 10.0, OPEN_S) == 0
    assert breaker.state(9.9 + 10.0, OPEN_S) == "half_open"


class Calls(RuleBasedStateMachine):
    """Calls begin and end at random, several at once, while time goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 0.0
        self.under_way: list[bool] = []  # whether each is the probe
        self.in_a_row = 0
        self.opened_at: float | None = None

    @rule(passed=st.sampled_from((0.0, 1.0, 4.0, 9.9, 10.0, 30.0)))
    def time_passes(self, passed: float) -> None:
        self.now += passed

    @precondition(lambda self: self.breaker.admits(self.now, OPEN_S))
    @rule()
    def a_call_begins(self) -> None:
        self.under_way.append(self.breaker.opened_s is not None)
        self.breaker = begun(self.breaker)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 50), how=st.sampled_from(("good", "bad", "nothing")))
    def a_call_ends(self, which: int, how: str) -> None:
        probe = self.under_way.pop(which % len(self.under_way))
        was_open = self.breaker.opened_s is not None
        if how == "good":
            self.breaker = succeeded(self.breaker, probe=probe)
            self.in_a_row = 0 if not was_open or probe else self.in_a_row
        elif how == "bad":
            self.breaker = failed(self.breaker, self.now, THRESHOLD, probe=probe)
            self.in_a_row += not was_open
        else:
            self.breaker = let_go(self.breaker, probe=probe)
        if how == "bad" and (probe or (not was_open and self.breaker.opened_s is not None)):
            self.opened_at = self.now
        if how == "good" and probe:
            self.opened_at, self.in_a_row = None, 0

    @invariant()
    def it_opens_after_the_threshold_and_never_before(self) -> None:
        if self.opened_at is None:
            assert (self.breaker.opened_s is not None) == (self.in_a_row >= THRESHOLD)

    @invariant()
    def while_open_nothing_is_let_through_and_then_one_at_a_time(self) -> None:
        if self.breaker.opened_s is None:
            assert self.breaker.admits(self.now, OPEN_S)
        elif self.breaker.opened_s + OPEN_S > self.now:
            assert not self.breaker.admits(self.now, OPEN_S)
            assert self.breaker.wait_s(self.now, OPEN_S) > 0
        else:
            assert self.breaker.admits(self.now, OPEN_S) == (not any(self.under_way))

    @invariant()
    def it_says_since_when_it_is_open(self) -> None:
        assert self.breaker.opened_s == self.opened_at

    @invariant()
    def there_is_one_probe_at_most(self) -> None:
        assert sum(self.under_way) <= 1


TestCalls = Calls.TestCase


@given(st.lists(st.booleans(), max_size=30))
def test_one_success_in_every_three_calls_keeps_it_closed(results: list[bool]) -> None:
    breaker, in_a_row = Breaker(), 0
    for wanted in results:
        good = wanted or in_a_row == THRESHOLD - 1
        breaker = (
            succeeded(breaker, probe=False)
            if good
            else failed(breaker, 0.0, THRESHOLD, probe=False)
        )
        in_a_row = 0 if good else in_a_row + 1
        assert breaker.state(0.0, OPEN_S) == "closed"


def test_a_probe_that_fails_opens_it_for_another_while() -> None:
    breaker = failed(Breaker(), 0.0, 1, probe=False)
    assert breaker.state(9.0, OPEN_S) == "open"
    assert breaker.wait_s(9.0, OPEN_S) == pytest.approx(1.0)
    assert breaker.state(10.0, OPEN_S) == "half_open"
    again = failed(begun(breaker), 10.0, 1, probe=True)
    assert again.state(19.0, OPEN_S) == "open"


def test_a_probe_whose_caller_hung_up_makes_room_for_the_next() -> None:
    breaker = begun(failed(Breaker(), 0.0, 1, probe=False))
    assert not breaker.admits(10.0, OPEN_S)
    assert let_go(breaker, probe=True).admits(10.0, OPEN_S)
