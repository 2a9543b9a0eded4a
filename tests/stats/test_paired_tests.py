"""Tests of "no difference" on pairs: against scipy, and right as often as they say."""

import numpy as np
import pytest
from scipy import stats

from stepdown.errors import DataError
from stepdown.stats.paired_tests import no_difference


@pytest.mark.parametrize(("plus", "minus"), [(0, 0), (1, 0), (3, 1), (10, 2), (40, 25)])
def test_rows_of_0_and_1_are_tested_by_the_binomial_on_those_that_differ(
    plus: int, minus: int
) -> None:
    a = [1.0] * plus + [0.0] * minus + [1.0, 0.0]
    b = [0.0] * plus + [1.0] * minus + [1.0, 0.0]
    found = no_difference(a, b)
    expected = stats.binomtest(plus, plus + minus).pvalue if plus + minus else 1.0
    assert found.p_value == pytest.approx(expected)
    assert found.units == plus + minus


def test_few_graded_rows_are_tested_by_every_pattern_of_signs_as_scipy_does() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random(9), rng.random(9)
    expected = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert no_difference(a, b).p_value == pytest.approx(expected.pvalue)


def test_many_graded_rows_come_close_to_scipy_s_draws() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.random(200), rng.random(200) - 0.02
    b = np.clip(b, 0, 1)
    found = no_difference(a, b, seed=1)
    draws = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=9999, rng=2
    )
    assert found.p_value == pytest.approx(draws.pvalue, abs=0.02)
    assert found == no_difference(a, b, seed=1)


def test_rows_of_a_group_count_as_one_unit() -> None:
    a, b = [1.0] * 8, [0.0] * 8
    found = no_difference(a, b, groups=[n // 4 for n in range(8)])
    assert found.units == 2
    assert found.p_value == pytest.approx(0.5)


def test_nothing_to_compare_is_no_difference_and_unequal_lengths_are_refused() -> None:
    assert no_difference([], []).p_value == 1.0
    with pytest.raises(DataError, match="pairs are needed"):
        no_difference([1.0], [1.0, 0.0])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["binary", "graded", "groups"])
def test_a_difference_that_is_not_there_is_found_no_oftener_than_the_level(kind: str) -> None:
    rng, level, trials = np.random.default_rng(11), 0.05, 800
    met = 0
    for trial in range(trials):
        ease = np.repeat(rng.random(30), 4)
        if kind == "graded":
            a, b = rng.random(120) * ease, rng.random(120) * ease
        else:
            a, b = (rng.random(120) < ease).astype(float), (rng.random(120) < ease).astype(float)
        groups = None
        if kind == "groups":
            shift = np.repeat(rng.random(30) < 0.3, 4)
            a = np.where(shift, rng.random(120).round(), a)
            swap = np.repeat(rng.random(30) < 0.5, 4)
            a, b = np.where(swap, b, a), np.where(swap, a, b)
            groups = np.repeat(np.arange(30), 4).tolist()
        met += no_difference(a, b, groups, seed=trial).p_value <= level
    assert stats.binomtest(met, trials, level, alternative="greater").pvalue > 0.001, met / trials
