"""One promise per message: joint paths, and the test on whole messages."""

from itertools import pairwise

import numpy as np
import pytest

from stepdown.certify.pipelines import (
    certify_messages,
    combinations,
    fed_inputs,
    message_score,
    message_start,
)
from stepdown.certify.search import Searched
from stepdown.core.policy import single

POLICY = single("big")


def path(*points: tuple[float | None, float]) -> list[Searched]:
    """Return a step's path from (cost, loss) pairs, the ceiling first."""
    return [
        Searched(policy=POLICY, cost_usd=c, score=1 - loss, loss=loss, discordant=loss, kept=i / 9)
        for i, (c, loss) in enumerate(points)
    ]


def test_the_joint_path_begins_at_the_ceiling_and_ends_at_the_cheapest_of_every_step() -> None:
    found = combinations([path((1.0, 0), (0.5, 0.1)), path((2.0, 0), (1.0, 0.01), (0.1, 0.3))])
    assert (found[0], found[-1]) == ((0, 0), (1, 2))
    assert all(sum(b) > sum(a) for a, b in pairwise(found))


def test_the_step_that_saves_most_for_what_it_loses_moves_first() -> None:
    found = combinations([path((1.0, 0), (0.9, 0.1)), path((1.0, 0), (0.1, 0.01))])
    assert found == [(0, 0), (0, 1), (1, 1)]


def test_an_unknown_cost_is_replaced_by_the_share_of_the_ceiling_in_every_step() -> None:
    found = combinations([path((None, 0), (None, 0.5)), path((1.0, 0), (0.1, 0.01))])
    assert found[1] == (0, 1)


def test_a_long_joint_path_is_thinned_and_keeps_both_ends() -> None:
    long = path(*((1 - i / 50, i / 1000) for i in range(40)))
    found = combinations([long, long], longest=10)
    assert (len(found), found[0], found[-1]) == (10, (0, 0), (39, 39))


def test_a_message_is_as_good_as_its_worst_step_or_as_the_mean() -> None:
    steps = [np.array([1.0, 1.0, 0.5]), np.array([1.0, 0.0, np.nan])]
    assert message_score(steps, "worst").tolist() == [1.0, 0.0, 0.0]
    assert message_score(steps, "mean").tolist() == [1.0, 0.5, 0.25]


COMBOS = [(0, 0), (1, 0), (1, 1)]


def messages(n: int, wrong: float, seed: int) -> dict[tuple[int, int], np.ndarray]:
    """Scores of n messages: the ceiling is always right, each move loses `wrong`."""
    rng = np.random.default_rng(seed)
    first, second = rng.random(n) >= wrong, rng.random(n) >= wrong
    return {(0, 0): np.ones(n), (1, 0): first * 1.0, (1, 1): (first & second) * 1.0}


def chosen_of(n: int, wrong: float, seed: int) -> int:
    max_loss = 0.05
    tune, rows = messages(n, wrong, 1000 + seed), messages(n, wrong, seed)
    done = certify_messages(
        COMBOS,
        rows.__getitem__,
        lambda combo: 2.0 - sum(combo),
        max_loss=max_loss,
        delta=0.1,
        start=message_start(COMBOS, tune.__getitem__, max_loss, n),
        groups=None,
        seed=seed,
        binary=True,
    )
    return done.chosen


def test_two_steps_that_lose_nothing_both_move_down() -> None:
    assert chosen_of(400, 0.0, 1) == 2


def test_steps_that_each_keep_the_promise_but_break_it_together_do_not_both_move_down() -> None:
    """Each loses 4 points, together 7.8: the promise is 5 a message."""
    trials = 200
    broken = sum(chosen_of(600, 0.04, seed) == 2 for seed in range(trials))
    moved = sum(chosen_of(600, 0.04, seed) == 1 for seed in range(trials))
    assert broken <= 0.1 * trials
    assert moved > 0


def test_a_fed_step_reads_the_answer_of_the_step_before_it() -> None:
    made = fed_inputs("draft", {"q": "hello"}, {"draft": {"q": "Dear"}})
    assert made == {"q": "Dear"}


def test_a_template_is_filled_in_one_pass() -> None:
    made = fed_inputs("{text} | {draft}", {"q": "I wrote {draft}"}, {"draft": {"q": "Dear"}})
    assert made == {"q": "I wrote {draft} | Dear"}


@pytest.mark.parametrize("takes", ["draft", "{text} {draft}"])
def test_a_query_without_an_answer_upstream_is_left_out(takes: str) -> None:
    assert fed_inputs(takes, {"q": "x"}, {"draft": {}}) == {}
