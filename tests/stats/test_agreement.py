"""Kappa and rank correlation against scikit-learn and scipy, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from stepdown.errors import DataError
from stepdown.stats.agreement import kappa, rank_correlation


@pytest.mark.parametrize("seed", range(8))
def test_kappa_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    b = np.where(rng.random(60) < 0.5, a, b)
    assert kappa(a, b).value == pytest.approx(cohen_kappa_score(a, b))


@pytest.mark.parametrize("seed", range(8))
def test_rank_correlation_with_ties_is_that_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 5, 40), rng.random(40)
    assert rank_correlation(a, b).value == pytest.approx(spearmanr(a, b).statistic)


def test_what_is_not_defined_is_none() -> None:
    assert kappa([1, 1, 1], [1, 1, 1]).value is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]).value is None
    assert rank_correlation([], []).value is None


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="pairs"):
        rank_correlation([1, 2], [1, 2, 3])


@given(st.permutations(range(12)))
def test_rank_correlation_ignores_the_scale(order: list[int]) -> None:
    values = np.array(order, float)
    stretched = rank_correlation(np.exp(values), np.arange(12)).value
    assert stretched == pytest.approx(rank_correlation(values, np.arange(12)).value)


def test_rows_in_groups_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    truth = np.repeat(rng.random(30), 10)
    seen = truth + 0.5 * np.repeat(rng.random(30), 10)
    groups = [f"g{i // 10}" for i in range(300)]
    alone = rank_correlation(seen, truth, seed=1).interval
    grouped = rank_correlation(seen, truth, groups, seed=1).interval
    assert alone.low is not None
    assert grouped.low is not None
    assert grouped.high is not None
    assert alone.high is not None
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


@pytest.mark.slow
def test_the_interval_of_kappa_holds_the_truth_about_as_often_as_it_says() -> None:
    """True kappa .5: with chance .5 the raters copy, else draw anew among two equal categories."""
    from scipy.stats import binomtest

    rng, held, runs = np.random.default_rng(7), 0, 120
    for run in range(runs):
        a = rng.integers(0, 2, 150)
        b = np.where(rng.random(150) < 0.5, a, rng.integers(0, 2, 150))
        found = kappa(a, b, seed=run).interval
        held += found.low is not None and found.low <= 0.5 <= (found.high or 0)
    # The percentile bootstrap may cover a little less than 95%; far less would be a mistake.
    assert binomtest(held, runs, 0.92, alternative="less").pvalue > 0.01
