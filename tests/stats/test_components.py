"""Variance within a sample asked again, and between samples."""

import numpy as np
import pytest

from stepdown.stats.components import components


def test_the_variances_of_a_hand_made_table() -> None:
    # Two samples: means 0.5 and 1.0; variances within 0.5 and 0.0, so within = 0.25.
    found = components([[0.0, 1.0], [1.0, 1.0]])
    assert found is not None
    assert found.within == pytest.approx(0.25)
    assert found.between == pytest.approx(0.125 - 0.25 / 2)
    assert found.n == 2


def test_answers_that_never_change_have_no_variance_within() -> None:
    found = components([[1.0] * 3, [0.0] * 3, [1.0] * 3])
    assert found is not None
    assert found.within == 0.0
    assert found.between == pytest.approx(1 / 3)


def test_unknown_scores_are_left_out_and_too_few_give_nothing() -> None:
    assert components([[1.0, np.nan], [0.0, 1.0]]) is None
    found = components([[1.0, np.nan, 0.0], [0.0, 1.0, np.nan], [1.0, np.nan, np.nan]])
    assert found is not None
    assert found.n == 2


def test_the_estimates_meet_the_variances_that_made_the_scores() -> None:
    draw = np.random.default_rng(5)
    chances = draw.beta(4.0, 2.0, size=20_000)  # variance 8 / 252; within p (1 - p)
    scores = (draw.random((20_000, 4)) < chances[:, None]).astype(float)
    found = components(scores)
    assert found is not None
    assert found.between == pytest.approx(8 / 252, rel=0.05)
    assert found.within == pytest.approx(np.mean(chances * (1 - chances)), rel=0.02)
