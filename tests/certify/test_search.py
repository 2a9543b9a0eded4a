"""The path runs from the ceiling to the cheapest policy that nothing beats, and has a start."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from populations import World, flat, rising

from stepdown.certify.calibration import choose
from stepdown.certify.search import Searched, Standing, path, searched, start, strength
from stepdown.core.derived import Linear
from stepdown.core.outcome import Outcome
from stepdown.core.policy import Policy, cascade, single
from stepdown.core.replay_array import Panel, panel

SHARES = st.floats(0, 1)


def one(
    cost: float | None, loss: float, kept: float = 1.0, discordant: float = 0.0, limit: float = 0.1
) -> Searched:
    return Searched(
        policy=single("a"),
        cost_usd=cost,
        score=0.5,
        loss=loss,
        discordant=max(discordant, abs(loss)),
        kept=kept,
        standings=(Standing(loss - limit, max(discordant, abs(loss)), 100),),
    )


CEILING = one(1.0, 0.0, 0.0)
FOUND = st.lists(st.builds(one, st.floats(0, 2), st.floats(-1, 1), SHARES, SHARES), max_size=40)


@given(FOUND)
def test_the_path_gets_cheaper_and_no_policy_on_it_is_beaten(found: list[Searched]) -> None:
    along = path(found, CEILING)
    assert along[0] == CEILING
    costs = [step.cost_usd or 0.0 for step in along]
    assert costs == sorted(costs, reverse=True)
    for step in along[1:]:
        assert (step.cost_usd or 0.0) < 1.0
        beaten = [
            o for o in found if (o.cost_usd or 0) < (step.cost_usd or 0) and o.loss < step.loss
        ]
        assert beaten == []


@given(FOUND)
def test_the_losses_rise_along_the_path(found: list[Searched]) -> None:
    losses = [step.loss for step in path(found, CEILING)[1:]]
    assert losses == sorted(losses)


def test_a_long_path_keeps_its_two_ends() -> None:
    found = [one(i / 1000, 1 - i / 1000) for i in range(500)]
    along = path(found, CEILING, longest=10)
    assert len(along) == 11
    assert (along[1], along[-1]) == (found[-1], found[0])


def test_with_an_unknown_cost_the_share_kept_orders_the_path() -> None:
    found = [one(None, 0.3, 0.9), one(0.0, 0.1, 0.5), one(5.0, 0.2, 0.7)]
    assert [step.kept for step in path(found, CEILING)] == [0.0, 0.5, 0.7, 0.9]


def test_policies_that_cost_as_much_as_the_ceiling_are_not_on_the_path() -> None:
    assert path([one(1.0, -0.5), one(2.0, -0.9)], CEILING) == [CEILING]


@given(FOUND, st.integers(10, 1000), st.integers(10, 1000))
def test_the_start_lies_on_the_path(found: list[Searched], n_tune: int, n_certify: int) -> None:
    along = path(found, CEILING)
    place = start(along, n_tune, n_certify)
    assert place == 0 if len(along) == 1 else 1 <= place < len(along)


def test_the_start_is_the_policy_farthest_inside_the_promise() -> None:
    along = [CEILING, one(0.8, 0.0, discordant=0.2), one(0.5, 0.0, discordant=0.02), one(0.1, 0.09)]
    assert start(along, 100, 100) == 2


def test_of_equal_policies_the_cheapest_is_the_start() -> None:
    assert start([CEILING, one(0.8, 0.01), one(0.2, 0.01)], 100, 100) == 2


def rows(n: int = 200) -> Panel:
    world = World(right={"small": rising(0.2, 1.0), "big": flat(0.9)})
    return panel(world.draw(n, [1]))


def test_strength_puts_the_ceiling_last_and_tiers_without_a_score_first() -> None:
    assert strength(rows(), ("small", "unseen", "big"), "big") == ("unseen", "small", "big")
    assert strength(rows(), ("small", "big"), "small") == ("big", "small")


def test_the_chosen_map_rises_and_gives_probabilities() -> None:
    found = choose(rows(), "small")
    assert found is not None
    assert (found.signal, found.kind == "identity") == ("label_prob", False)
    low, high = found.apply({"label_prob": 0.1}), found.apply({"label_prob": 0.9})
    assert low is not None
    assert high is not None
    assert 0.1 < low < 0.5 < high < 1


def with_signals(n: int, signals: dict[str, list[float]], right: list[float]) -> Panel:
    return panel(
        Outcome(
            query_id=f"q{i}",
            tier="a",
            score=right[i],
            signals={name: values[i] for name, values in signals.items()},
        )
        for i in range(n)
    )


def test_the_signal_that_ranks_best_is_chosen() -> None:
    right = [float(i % 2) for i in range(40)]
    noise = np.random.default_rng(1).uniform(0, 1, 40).tolist()
    told = [0.3 + 0.4 * good for good in right]
    found = choose(with_signals(40, {"label_prob": noise, "margin": told}, right), "a")
    assert found is not None
    assert found.signal == "margin"


@pytest.mark.parametrize("right", [[1.0] * 40, [0.0] * 40, [1.0, 0.0] * 20])
def test_a_constant_signal_is_passed_on_as_it_is(right: list[float]) -> None:
    found = choose(with_signals(40, {"margin": [0.5] * 40}, right), "a")
    assert found is not None
    assert found.apply({"margin": 0.5}) == pytest.approx(0.5)


def test_a_signal_that_points_the_wrong_way_is_not_turned_round() -> None:
    right = [float(i < 20) for i in range(40)]
    found = choose(with_signals(40, {"margin": [i / 40 for i in range(40)]}, right), "a")
    assert found is not None
    assert found.kind == "identity"


def test_a_tier_without_signals_has_no_map() -> None:
    assert choose(with_signals(40, {}, [1.0] * 40), "a") is None


def linear(*inputs: str) -> Linear:
    return Linear(inputs=inputs, weights=(1.0,) * len(inputs), fill=(0.0,) * len(inputs))


DERIVED = {
    "small.twice": linear("small.once"),
    "small.once": linear("small.label_prob"),
    "unread": linear("small.label_prob"),
}


def reads(signal: str) -> Policy:
    (entry, keep, last) = cascade(("small", "big"), (0.5,)).rows
    (clause,) = keep.when
    told = msgspec.structs.replace(clause, signal=signal)
    return Policy(("small", "big"), (entry, msgspec.structs.replace(keep, when=(told,)), last))


def test_a_policy_carries_the_formulas_that_it_reads_and_those_that_these_rest_on() -> None:
    found = searched(rows(), reads("small.twice"), DERIVED)
    assert set(found.derived) == {"small.twice", "small.once"}
    assert found.kept == pytest.approx(searched(rows(), reads("small.label_prob")).kept)
    assert 0.3 < found.kept < 0.7


def test_a_policy_without_derived_signals_carries_no_formula() -> None:
    assert searched(rows(), reads("small.label_prob"), DERIVED).derived == {}
