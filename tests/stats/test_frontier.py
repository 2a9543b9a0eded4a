"""The static hull, the oracle and the deferral curve, against brute force and closed forms."""

import numpy as np
import pytest

from stepdown.errors import DataError
from stepdown.stats import frontier as f
from stepdown.stats.bootstrap import bootstrap_interval


def _random(seed: int, n: int = 60, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.integers(0, 4, (n, k)) / 3, draw.integers(1, 9, (n, k)) / 4


def test_the_hull_keeps_only_corners_that_no_mix_reaches() -> None:
    found = f.hull([1, 2, 3, 4, 5], [0.2, 0.3, 0.6, 0.65, 0.6])
    assert found.index.tolist() == [0, 2, 3]


def test_of_equal_points_the_hull_keeps_one() -> None:
    assert f.hull([1, 1, 1], [0.5, 0.6, 0.6]).index.tolist() == [1]
    assert f.hull([2, 1], [0.5, 0.5]).index.tolist() == [1]


@pytest.mark.parametrize("seed", range(5))
def test_the_hull_scores_what_the_best_mix_of_two_points_scores(seed: int) -> None:
    draw = np.random.default_rng(seed)
    cost, score = draw.random(6), draw.random(6)
    found = f.hull(cost, score)
    for asked in np.linspace(cost.min(), 1.2, 25):
        mixes = [
            score[a] + (asked - cost[a]) / (cost[b] - cost[a]) * (score[b] - score[a])
            for a in range(6)
            for b in range(6)
            if cost[a] <= asked < cost[b]
        ]
        best = max([*mixes, *score[cost <= asked]])
        assert f.hull_score(asked, found) == pytest.approx(best)


def test_below_its_cheapest_point_a_hull_has_no_score_and_no_mix() -> None:
    found = f.hull([1, 2], [0.2, 0.8])
    assert np.isnan(f.hull_score(0.5, found))
    assert f.hull_mix(0.5, found) is None


def test_a_mix_on_the_hull_has_the_cost_that_was_asked_for() -> None:
    assert f.hull_mix(1.25, f.hull([1, 2], [0.2, 0.8])) == (0, 1, 0.25)
    assert f.hull_mix(7, f.hull([1, 2], [0.2, 0.8])) == (1, 1, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_oracle_is_the_best_tier_of_each_query_at_every_price(seed: int) -> None:
    score, cost = _random(seed)
    found = f.oracle(score, cost)
    for price in (0.0, 0.05, 0.11, 0.3, 1.0, 4.0):
        best = (score - price * cost).max(axis=1).mean()
        assert (found.score - price * found.cost).max() == pytest.approx(best)
    assert found.score[-1] == pytest.approx(score.max(axis=1).mean())
    assert (np.diff(np.diff(found.score) / np.diff(found.cost)) < 1e-9).all()


def test_a_tier_that_is_unknown_for_a_query_is_not_offered_to_the_oracle() -> None:
    found = f.oracle([[0.0, 1.0], [0.0, np.nan]], [1.0, 2.0])
    assert found.score.tolist() == [0.0, 0.5]
    assert found.cost.tolist() == [1.0, 1.5]


def test_a_query_without_any_known_tier_is_refused() -> None:
    with pytest.raises(DataError, match="1 queries have no tier"):
        f.oracle([[np.nan], [1.0]], [1.0])


def test_the_hull_closes_nothing_of_the_area_and_the_oracle_all() -> None:
    score, cost = _random(9)
    static, best = f.hull(cost.mean(axis=0), score.mean(axis=0)), f.oracle(score, cost)
    assert f.area_share(static, static, best) == 0.0
    assert f.area_share(best, static, best) == pytest.approx(1.0)


def test_an_area_share_is_the_share_of_two_triangles() -> None:
    static = f.hull([0, 1], [0, 1])
    best, policy = f.hull([0, 0.001, 1], [0, 0.999, 1]), f.hull([0, 0.5, 1], [0, 0.75, 1])
    assert f.area_share(policy, static, best) == pytest.approx(0.25, rel=0.01)
    assert f.area_share(f.hull([0, 1], [0, 0.5]), static, best) == pytest.approx(-0.5, rel=0.01)


def test_where_the_oracle_gains_nothing_there_is_no_area_to_close() -> None:
    one = f.hull([0, 1], [0, 1])
    assert f.area_share(one, one, one) is None
    assert f.area_share(one, f.hull([1], [0.5]), one) is None


def _curve_by_order(order: np.ndarray, weak: np.ndarray, strong: np.ndarray) -> float:
    chosen = np.concatenate([[0], np.cumsum((strong - weak)[order])]) / order.size + weak.mean()
    return float(np.trapezoid(chosen, dx=1 / order.size))


def test_ties_give_the_mean_over_all_their_orders() -> None:
    draw = np.random.default_rng(4)
    weak, strong = draw.random(40), draw.random(40)
    ranking = draw.integers(0, 3, 40).astype(float)
    orders = [np.lexsort((draw.random(40), -ranking)) for _ in range(4000)]
    by_chance = np.mean([_curve_by_order(order, weak, strong) for order in orders])
    assert f.audc(f.deferral_curve(ranking, weak, strong)) == pytest.approx(by_chance, abs=1e-3)


def test_a_ranking_that_says_nothing_recovers_half_of_the_gap() -> None:
    curve = f.deferral_curve(np.ones(9), np.zeros(9), np.ones(9))
    assert f.apgr(curve) == pytest.approx(0.5)
    assert f.cpt(curve) == pytest.approx((0.5, 0.8))


def test_a_perfect_ranking_needs_only_the_queries_that_gain() -> None:
    weak, strong = np.array([0, 0, 1, 1, 1, 1, 1, 1, 1, 1.0]), np.ones(10)
    curve = f.deferral_curve(strong - weak, weak, strong)
    assert f.cpt(curve, (0.5, 1.0)) == pytest.approx((0.1, 0.2))
    assert f.apgr(curve) == pytest.approx(0.9)


def test_a_curve_that_recovers_more_than_the_gap_is_above_one() -> None:
    weak, strong = np.array([0, 0, 1, 1.0]), np.array([1, 1, 0, 1.0])
    assert (f.apgr(f.deferral_curve(strong - weak, weak, strong)) or 0) > 1
    assert f.cpt(f.deferral_curve(strong - weak, weak, strong), (0.0, 1.0)) == (0.0, 0.25)


def test_without_a_gap_nothing_can_be_recovered() -> None:
    curve = f.deferral_curve([1, 2], [1, 1], [0, 1])
    assert f.apgr(curve) is None
    assert f.cpt(curve) == (None, None)


def test_an_unknown_rank_goes_to_the_strong_answer_first() -> None:
    curve = f.deferral_curve([5.0, np.nan], [1.0, 0.0], [1.0, 1.0])
    assert curve.score.tolist() == [0.5, 1.0, 1.0]


def test_arrays_of_unequal_length_are_refused() -> None:
    with pytest.raises(DataError, match="2 ranks"):
        f.deferral_curve([1, 2], [1], [1])
    with pytest.raises(DataError, match="at least one pair"):
        f.hull([], [])
    with pytest.raises(DataError, match="cost is unknown"):
        f.hull([np.nan], [0.5])


def test_the_bootstrap_interval_of_a_random_ranking_holds_one_half() -> None:
    """90% intervals of 50 data sets whose true APGR is 0.5, judged by an exact test."""
    from scipy.stats import binomtest

    held = 0
    for seed in range(50):
        draw = np.random.default_rng(seed)
        weak, strong = draw.random(150) < 0.4, draw.random(150) < 0.8
        (found,) = f.deferral_intervals(
            draw.random(150), weak, strong, lambda c: (f.apgr(c),), level=0.9, seed=seed
        )
        held += found.low is not None and found.low <= 0.5 <= (found.high or 0)
    assert binomtest(held, 50, 0.9).pvalue > 0.01


def test_whole_groups_are_drawn_so_that_copies_add_nothing() -> None:
    values = np.random.default_rng(1).random(30)
    twice, groups = np.repeat(values, 4), np.repeat(np.arange(30), 4)

    def mean_of(rows: np.ndarray) -> float:
        return float(twice[rows].mean())

    alone = bootstrap_interval(lambda rows: float(values[rows].mean()), 30)
    assert bootstrap_interval(mean_of, 120, groups).low == pytest.approx(alone.low, abs=0.02)
    assert bootstrap_interval(mean_of, 120, np.zeros(120)).low is None


def test_a_figure_that_resamples_often_lack_has_no_interval() -> None:
    assert bootstrap_interval(lambda rows: 1.0 if 0 in rows else None, 20).low is None
