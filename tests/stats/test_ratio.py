"""The interval of a saving, against its coverage and its closed cases."""

import numpy as np
import pytest
from scipy.stats import binomtest

from stepdown.errors import DataError
from stepdown.stats.ratio import saving_interval


def test_a_saving_that_is_the_same_on_every_row_is_sure() -> None:
    cost = np.random.default_rng(2).random(200) + 0.1
    found = saving_interval(cost / 4, cost)
    assert found.low == pytest.approx(0.75)
    assert found.high == pytest.approx(0.75)


def test_a_90_percent_interval_holds_the_truth_nine_times_in_ten() -> None:
    held = 0
    for seed in range(400):
        draw = np.random.default_rng(seed)
        baseline = draw.gamma(3.0, 1.0, 60)
        cost = baseline * (draw.random(60) < 0.4) + 0.3  # mean 3 * .4 + .3 = 1.5: half is saved
        found = saving_interval(cost, baseline, level=0.9)
        held += found.low is not None and found.low <= 0.5 <= (found.high or 0.0)
    assert binomtest(held, 400, 0.9).pvalue > 0.01


def test_copies_in_one_group_add_nothing() -> None:
    draw = np.random.default_rng(5)
    cost, baseline = draw.random(40), draw.random(40) + 1
    groups = np.repeat(np.arange(40), 3)
    alone = saving_interval(cost, baseline)
    copied = saving_interval(np.repeat(cost, 3), np.repeat(baseline, 3), groups)
    assert copied.low == pytest.approx(alone.low)
    assert copied.high == pytest.approx(alone.high)


@pytest.mark.parametrize("rows", [0, 1])
def test_one_row_says_nothing_of_its_spread(rows: int) -> None:
    assert saving_interval(np.ones(rows), np.ones(rows)).low is None


def test_a_baseline_that_may_be_free_leaves_the_saving_unknown() -> None:
    assert saving_interval(np.ones(9), np.zeros(9)).low is None
    assert saving_interval([1.0, 1.0, 1.1], [0.0, 0.0, 9.0]).low is None


def test_unknown_costs_are_refused() -> None:
    with pytest.raises(DataError, match="known costs"):
        saving_interval([np.nan], [1.0])
