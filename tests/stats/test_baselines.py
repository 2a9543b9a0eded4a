"""The peers that ours are measured against: right where they can be checked by hand."""

import numpy as np
import pytest

from stepdown.stats import baselines, bounds

FALLING = np.linspace(1.0, 0.0, 200)


@pytest.mark.parametrize("name", sorted(baselines.PEERS))
def test_a_peer_keeps_all_that_is_right_and_nothing_that_is_wrong(name: str) -> None:
    rule = baselines.PEERS[name]
    assert rule(FALLING, np.ones(200), 0.9, 0.1) == FALLING.min()
    assert rule(FALLING, np.zeros(200), 0.9, 0.1) is None
    assert rule([], [], 0.9, 0.1) is None


def test_learn_then_test_needs_the_fewest_rows_that_can_pass() -> None:
    few = np.linspace(1.0, 0.5, 21)
    assert baselines.learn_then_test(few, np.ones(21), 0.9, 0.1) is None
    enough = np.linspace(1.0, 0.5, 22)
    assert baselines.learn_then_test(enough, np.ones(22), 0.9, 0.1) == 0.5


def test_learn_then_test_stops_at_a_confident_wrong_spike_that_a_binary_search_survives() -> None:
    confidence = np.linspace(1.0, 0.0, 1000)
    score = np.ones(1000)
    score[:10] = 0.0
    assert baselines.learn_then_test(confidence, score, 0.9, 0.1) is None
    survived = baselines.selection_with_guaranteed_risk(confidence, score, 0.9, 0.1)
    assert survived == pytest.approx(0.0)


def test_the_hoeffding_bentkus_p_value_is_never_below_the_exact_one() -> None:
    n = np.full(301, 300)
    correct = np.arange(301, dtype=np.float64)
    hb = baselines.hoeffding_bentkus_p_value(correct, n, 0.9)
    assert np.all(hb >= bounds.accuracy_p_value(correct, n, 0.9) - 1e-12)
    assert hb[270] == 1.0
    by_hand = np.exp(-300 * np.log(1 / 0.9))
    assert hb[300] == pytest.approx(by_hand)


def test_equal_confidences_are_never_split_by_a_peer() -> None:
    confidence = np.repeat([0.9, 0.4], [120, 80])
    score = np.repeat([1.0, 0.0], [120, 80])
    for rule in baselines.PEERS.values():
        assert rule(confidence, score, 0.9, 0.1) == 0.9


def test_a_habit_trusts_what_it_sees() -> None:
    score = np.where(np.arange(200) < 10, 1.0, 0.0)
    assert baselines.normal_bound(FALLING, score, 0.9, 0.1) is not None
    assert baselines.observed_accuracy(FALLING, score, 0.9, 0.1) is not None
    assert baselines.raw_confidence(FALLING, score, 0.9, 0.1) == 0.9
