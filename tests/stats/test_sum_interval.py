"""The interval of a mean from count and sum: Wilson's for scores of 0 and 1, wider for others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepdown.errors import DataError
from stepdown.stats.intervals import wilson
from stepdown.stats.sum_interval import sum_interval


@given(n=st.integers(1, 5000), share=st.floats(0, 1), level=st.sampled_from([0.8, 0.95, 0.99]))
def test_for_right_and_wrong_it_is_wilsons(n: int, share: float, level: float) -> None:
    right = round(n * share)
    theirs = wilson(right, n, level)
    assert sum_interval(right, n, level) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(n=st.integers(1, 500), mean=st.floats(0, 1))
def test_the_mean_lies_inside_and_the_ends_within_0_and_1(n: int, mean: float) -> None:
    low, high = sum_interval(n * mean, n)
    assert 0 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high <= 1


def test_scores_between_0_and_1_are_covered_more_often_than_the_level() -> None:
    draw = np.random.default_rng(20261129)
    scores = draw.beta(8, 2, size=(2000, 40))
    inside = [low <= 0.8 <= high for low, high in (sum_interval(row.sum(), 40) for row in scores)]
    assert np.mean(inside) > 0.99


@pytest.mark.parametrize(("total", "n"), [(1, 0), (3, 2), (-1, 2), (float("nan"), 2)])
def test_what_is_no_sum_of_scores_is_refused(total: float, n: int) -> None:
    with pytest.raises(DataError):
        sum_interval(total, n)
