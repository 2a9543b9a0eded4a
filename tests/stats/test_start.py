"""Where a sequence starts, learned from rows that test nothing."""

import numpy as np
import pytest

from stepdown.stats.start import choose_start

THRESHOLDS = np.array([0.9, 0.7, 0.5, 0.3, 0.0])
KEPT = np.array([100, 300, 500, 700, 1000])
NEEDED = 0.9 * KEPT + 1.28 * np.sqrt(0.09 * KEPT)


def chosen(accuracy: np.ndarray, confidence: np.ndarray) -> int:
    return choose_start(confidence, accuracy, THRESHOLDS, KEPT, NEEDED, 1000)


def test_all_right_starts_wide_and_all_wrong_anywhere() -> None:
    confidence = np.linspace(1, 0, 100)
    assert chosen(np.ones(100), confidence) == 4
    assert 0 <= chosen(np.zeros(100), confidence) <= 4


def test_a_start_lies_where_the_margin_is_widest_in_standard_errors() -> None:
    confidence = np.linspace(1, 0, 20_000)
    assert chosen(1 - 0.5 * (1 - confidence), confidence) == 0  # .975 of 100 beats .925 of 300
    assert chosen(np.full(20_000, 0.95), confidence) == 4


def test_a_confident_wrong_spike_moves_the_start_past_it() -> None:
    confidence = np.linspace(1, 0, 20_000)
    spiked = np.where(confidence > 0.95, 0.5, 1 - 0.2 * (1 - confidence))
    assert chosen(spiked, confidence) in {1, 2}


def test_nothing_to_learn_from_is_the_first_level() -> None:
    assert chosen(np.zeros(0), np.zeros(0)) == 0
    assert chosen(np.ones(3), np.full(3, np.nan)) == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_rows_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidence = rng.random(200)
    score = (rng.random(200) < confidence).astype(float)
    order = rng.permutation(200)
    assert chosen(score, confidence) == chosen(score[order], confidence[order])
