"""Intervals: against scipy, against hand values, and at the edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stepdown.errors import StepdownError
from stepdown.stats import intervals
from stepdown.stats.intervals import Interval

pairs = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (57, 60), (1, 1)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_wilson_and_clopper_pearson_equal_scipy(k: int, n: int, level: float) -> None:
    ours = [intervals.wilson(k, n, level), intervals.clopper_pearson(k, n, level)]
    for interval, method in zip(ours, ["wilson", "exact"], strict=True):
        theirs = stats.binomtest(k, n).proportion_ci(level, method=method)
        assert interval.low == pytest.approx(theirs.low, abs=1e-12)
        assert interval.high == pytest.approx(theirs.high, abs=1e-12)


@given(pairs)
def test_proportion_intervals_hold_the_estimate_and_stay_in_the_unit(pair: tuple[int, int]) -> None:
    k, n = pair
    for interval in (intervals.wilson(k, n), intervals.clopper_pearson(k, n)):
        assert interval.low is not None
        assert interval.high is not None
        assert 0.0 <= interval.low <= k / n <= interval.high <= 1.0


def test_no_rows_means_an_unknown_interval() -> None:
    for interval in (
        intervals.wilson(0, 0),
        intervals.clopper_pearson(0, 0),
        intervals.mean_interval([]),
        intervals.paired_difference([], []),
        intervals.tango(0, 0, 0),
        intervals.proportion_interval([]),
    ):
        assert (interval.low, interval.high, interval.n) == (None, None, 0)


def test_rows_that_all_agree_do_not_give_an_interval_of_no_width() -> None:
    ones = intervals.mean_interval(np.ones(50))
    assert ones.method == "Clopper-Pearson"
    assert ones.low == pytest.approx(0.025 ** (1 / 50))  # by hand: low**50 = 0.025
    assert ones.high == 1.0
    flat = intervals.mean_interval(np.full(200, 0.7))
    assert flat.low is not None
    assert flat.high is not None
    assert 0.5 < flat.low < 0.7 < flat.high < 0.9
    same = intervals.paired_difference(np.full(100, 0.5), np.full(100, 0.5))
    assert same.low is not None
    assert same.high is not None
    assert -0.2 < same.low < 0.0 < same.high < 0.2


def test_all_ones_in_few_groups_count_each_group_once() -> None:
    interval = intervals.mean_interval(np.ones(50), groups=np.repeat(range(5), 10))
    assert interval.low == pytest.approx(0.025 ** (1 / 5))


def test_a_score_outside_its_limits_and_a_missing_one_are_refused() -> None:
    for wrong in (1.2, -0.1, np.nan):
        with pytest.raises(StepdownError, match="outside"):
            intervals.mean_interval([0.5, wrong])
    with pytest.raises(StepdownError, match="pairs"):
        intervals.paired_difference([1.0], [1.0, 0.0])
    with pytest.raises(StepdownError, match="impossible"):
        intervals.wilson(3, 2)
    with pytest.raises(StepdownError, match="both ends"):
        Interval(None, 1.0, 0.95, "x", 1)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_mean_interval_does_not_depend_on_the_order_of_rows(seed: int, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    values, groups = rng.random(60), rng.integers(0, 30, 60)
    order = rng.permutation(60)
    first = intervals.mean_interval(values, groups if grouped else None, seed=3)
    second = intervals.mean_interval(values[order], groups[order] if grouped else None, seed=3)
    assert first.low == pytest.approx(second.low, abs=1e-9)
    assert first.high == pytest.approx(second.high, abs=1e-9)


def test_bca_is_close_to_scipy_on_skewed_values() -> None:
    values = np.random.default_rng(0).beta(0.5, 3.0, 200)
    ours = intervals.mean_interval(values, seed=1)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=5000, rng=2).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.004)
    assert ours.high == pytest.approx(theirs.high, abs=0.004)


def test_few_rows_use_students_t_as_scipy_does() -> None:
    values = np.array([0.2, 0.4, 0.5, 0.9, 0.3])
    theirs = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    ours = intervals.mean_interval(values)
    assert ours.method == "Student's t"
    assert ours.low == pytest.approx(theirs.low)
    assert ours.high == pytest.approx(theirs.high)


def test_copies_inside_groups_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(5)
    values = (rng.random(60) < 0.7).astype(float)
    alone = intervals.mean_interval(values, seed=1)
    copied = intervals.mean_interval(np.repeat(values, 8), np.repeat(np.arange(60), 8), seed=1)
    assert copied.low == pytest.approx(alone.low, abs=0.01)
    assert copied.high == pytest.approx(alone.high, abs=0.01)


@pytest.mark.parametrize("rates", [(0.05, 0.05), (0.02, 0.0), (0.2, 0.1)])
def test_tango_covers_about_as_often_as_it_says(rates: tuple[float, float]) -> None:
    rng = np.random.default_rng(7)
    minus, plus = rates
    draws = rng.multinomial(150, [minus, plus, 1 - minus - plus], 400)
    found = [intervals.tango(a, b, 150) for a, b, _ in draws]
    hits = sum(i.low <= plus - minus <= i.high for i in found)  # type: ignore[operator]
    assert stats.binomtest(hits, 400, 0.93, alternative="less").pvalue > 0.001


def test_tango_is_symmetric_and_not_empty_without_a_difference() -> None:
    one, other = intervals.tango(9, 4, 80), intervals.tango(4, 9, 80)
    assert one.low == pytest.approx(-other.high)  # type: ignore[operator]
    none = intervals.tango(0, 0, 100)
    assert none.high == pytest.approx(1.959964**2 / (100 + 1.959964**2), abs=1e-4)  # by hand


def test_a_paired_interval_is_narrower_than_the_two_alone() -> None:
    rng = np.random.default_rng(2)
    b = (rng.random(300) < 0.8).astype(float)
    a = np.where(rng.random(300) < 0.95, b, 1 - b)
    gap = intervals.paired_difference(a, b)
    alone = intervals.proportion_interval(a)
    assert gap.high - gap.low < alone.high - alone.low  # type: ignore[operator]
    assert intervals.paired_difference(a, b, groups=np.arange(300) // 3, seed=1).n == 300


def test_a_quantile_of_nothing_is_unknown() -> None:
    assert intervals.quantile([], 0.95) is None
    assert intervals.quantile([1.0, 2.0, 3.0], 0.5) == 2.0
    with pytest.raises(StepdownError):
        intervals.quantile([1.0], 1.5)
