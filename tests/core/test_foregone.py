"""Which answers are certain to be sent before they are written."""

from __future__ import annotations

from itertools import product

import pytest

from stepdown.core.decide import Observation, decide
from stepdown.core.foregone import sent_whatever_it_says
from stepdown.core.policy import Action, Clause, Policy, Row, cascade, single

TWO = cascade(("small", "big"), (0.8,))


def test_only_the_last_tier_of_a_cascade_is_certain_to_be_sent() -> None:
    assert not sent_whatever_it_says(TWO, Observation(), "small")
    assert sent_whatever_it_says(TWO, Observation(called=("small",)), "big")


def test_a_single_tier_is_certain_to_be_sent() -> None:
    assert sent_whatever_it_says(single("big"), Observation(), "big")


def test_a_tier_asked_where_the_table_ends_is_sent_when_it_is_the_strongest_left() -> None:
    down = Observation(unavailable={"small": "down"})
    assert sent_whatever_it_says(TWO, down, "big")
    assert sent_whatever_it_says(TWO, Observation(unavailable={"big": "down"}), "small")
    alone = Policy(tiers=("small", "big"), rows=single("big").rows)
    fallen = Observation(unavailable={"big": "down"})
    assert sent_whatever_it_says(alone, fallen, "small")


def test_an_answer_that_may_be_polished_waits() -> None:
    rows = (
        Row(called=(), otherwise=Action("call", "small")),
        Row(called=("small",), otherwise=Action("polish", "big")),
    )
    polishing = Policy(tiers=("small", "big"), rows=rows)
    assert not sent_whatever_it_says(polishing, Observation(), "small")


MIXED = Policy(
    tiers=("small", "big"),
    rows=(
        Row(called=(), otherwise=Action("call", "small")),
        Row(
            called=("small",),
            when=(
                Clause("draw", 0.5, Action("accept", "small")),
                Clause("small.confidence", 0.8, Action("accept", "small")),
            ),
            otherwise=Action("call", "big"),
        ),
        Row(
            called=("small", "big"),
            when=(Clause("big=small", 1.0, Action("accept", "small")),),
            otherwise=Action("accept", "big"),
        ),
    ),
)


def test_what_is_known_before_the_call_counts() -> None:
    assert sent_whatever_it_says(MIXED, Observation(signals={"draw": 0.7}), "small")
    assert not sent_whatever_it_says(MIXED, Observation(signals={"draw": 0.2}), "small")


def test_an_answer_that_may_give_way_to_one_before_it_waits() -> None:
    assert not sent_whatever_it_says(MIXED, Observation(called=("small",)), "big")
    spoiled = Observation(called=("small",), invalid={"small": "invalid_output"})
    assert sent_whatever_it_says(MIXED, spoiled, "big")


@pytest.mark.parametrize("policy", [TWO, MIXED, single("big")])
def test_what_is_called_certain_is_accepted_whatever_the_signals_turn_out_to_be(
    policy: Policy,
) -> None:
    certain = 0
    for called, draw, down in product([(), ("small",)], [0.2, 0.7], [{}, {"big": "down"}]):
        seen = Observation(called, {"draw": draw, "small.confidence": 0.1}, {}, down)
        for tier in {"small", "big"} - set(called) - set(down):
            if sent_whatever_it_says(policy, seen, tier):
                certain += 1
                for sure, same in product([None, 0.0, 1.0], repeat=2):
                    signals = {**seen.signals, f"{tier}.confidence": sure, "big=small": same}
                    after = Observation((*called, tier), signals, {}, down)
                    assert decide(policy, after).action == Action("accept", tier)
    assert certain
