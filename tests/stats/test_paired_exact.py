"""The exact paired test: against brute force over every outcome, and its four properties."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from stepdown.errors import StepdownError
from stepdown.stats import bounds, paired_exact, power

outcomes = st.integers(1, 60).flatmap(
    lambda n: st.integers(0, n).flatmap(
        lambda a: st.tuples(st.just(n), st.just(a), st.integers(0, n - a))
    )
)
epsilons = st.floats(0.005, 0.3)


@cache
def table(n: int) -> np.ndarray:
    return np.array([(a, b) for a in range(n + 1) for b in range(n + 1 - a)])


def masses(n: int, minus: float, plus: float) -> np.ndarray:
    rows = table(n)
    law = stats.multinomial(n, [minus, plus, 1 - minus - plus])
    return np.asarray(law.pmf(np.column_stack([rows, n - rows.sum(axis=1)])))


def constrained_by_search(a: int, b: int, n: int, epsilon: float) -> float:
    """The signed log likelihood ratio with its maximum found by a fine search, for checking."""
    minus, plus = a + 0.5, b + 0.5
    zero, total = n - a - b, n + 1
    x = np.linspace(1e-9, (1 - epsilon) / 2 - 1e-9, 400_001)
    best = np.max(
        special.xlogy(minus, x + epsilon)
        + special.xlogy(plus, x)
        + special.xlogy(zero, 1 - 2 * x - epsilon)
    )
    free = sum(special.xlogy(c, c / total) for c in (minus, plus, zero))
    return float(np.sign(plus - minus + total * epsilon) * (free - best))


@pytest.mark.parametrize(("a", "b", "n"), [(0, 0, 20), (3, 1, 20), (0, 9, 30), (12, 2, 30)])
def test_rank_equals_a_search_for_the_likeliest_null(a: int, b: int, n: int) -> None:
    ours = paired_exact.rank(np.array([float(a)]), np.array([float(b)]), n, 0.1)[0]
    assert ours == pytest.approx(constrained_by_search(a, b, n, 0.1), abs=1e-6)


@pytest.mark.parametrize("epsilon", [0.05, 0.2])
@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (1, 2), (0, 4), (3, 3), (6, 1)])
def test_p_value_equals_brute_force(a: int, b: int, epsilon: float) -> None:
    n = 14
    ranks = paired_exact.rank(*table(n).T.astype(float), n, epsilon)
    own = paired_exact.rank(np.array([float(a)]), np.array([float(b)]), n, epsilon)[0]
    border = np.linspace(0, (1 - epsilon) / 2, 400)
    worst = max(masses(n, x + epsilon, x)[ranks >= own - 1e-9].sum() for x in border)
    ours = paired_exact.p_value(a, b, n, epsilon)
    assert worst - 1e-6 <= ours <= worst * 1.03 + 0.0011


@pytest.mark.parametrize("n", [9, 25])
def test_no_point_of_the_null_is_rejected_more_often_than_promised(n: int) -> None:
    """Exact, by summing every outcome; points inside the null too, not only on its border."""
    epsilon = 0.1
    p = np.array([paired_exact.p_value(a, b, n, epsilon) for a, b in table(n)])
    for delta in (0.02, 0.1, 0.3):
        for plus in np.linspace(0.0, 0.44, 12):
            for extra in (0.0, 0.05, 0.3):
                minus = plus + epsilon + extra
                if minus + plus <= 1.0:
                    assert masses(n, minus, plus)[p <= delta].sum() <= delta + 1e-9


@given(outcomes, epsilons)
def test_a_better_outcome_never_ranks_lower(outcome: tuple[int, int, int], epsilon: float) -> None:
    n, a, b = outcome

    def rank(minus: int, plus: int) -> float:
        return float(paired_exact.rank(np.array([minus]), np.array([plus]), n, epsilon)[0])

    if a > 0:
        assert rank(a - 1, b) >= rank(a, b) - 1e-9  # a loss becomes a tie
        assert rank(a - 1, b + 1) >= rank(a, b) - 1e-9  # a loss becomes a gain
    if a + b < n:
        assert rank(a, b + 1) >= rank(a, b) - 1e-9  # a tie becomes a gain


@settings(max_examples=25, deadline=None)
@given(outcomes, epsilons)
def test_the_loss_bound_agrees_with_the_test(outcome: tuple[int, int, int], epsilon: float) -> None:
    n, a, b = outcome
    bound = paired_exact.upper_bound_loss(a, b, n, epsilon, 0.1)
    assert (a - b) / n - 1e-9 <= bound <= 1.0
    p = paired_exact.p_value(a, b, n, epsilon, 0.0005)
    if p < 0.095:
        assert bound <= epsilon
    if p > 0.105:
        assert bound > epsilon


def test_without_a_discordant_row_the_bound_is_that_of_zero_failures() -> None:
    exact = 1 - 0.1 ** (1 / 200)  # by hand: (1 - b)**200 = 0.1
    assert paired_exact.upper_bound_loss(0, 0, 200, 0.02, 0.1) == pytest.approx(exact, abs=0.001)
    assert paired_exact.p_value(0, 0, 200, 0.02) == pytest.approx(0.98**200, abs=0.0012)


def test_it_passes_much_more_often_than_betting_on_the_same_rows() -> None:
    for minus, plus in [(0.01, 0.01), (0.03, 0.03), (0.05, 0.05)]:
        exact = power.noninferiority_power(500, minus, plus, 0.03, 0.1)
        betting = power.noninferiority_power(500, minus, plus, 0.03, 0.1, test="betting")
        assert exact > betting + 0.02


def test_chance_equals_the_sum_over_the_table() -> None:
    n = 20
    region = paired_exact.region_at(2, 1, n, 0.1)
    a, b = table(n).T
    inside = b >= region.least_plus[a]
    ours = paired_exact.chance(region, np.array([0.2]), np.array([0.1]))[0]
    assert ours == pytest.approx(masses(n, 0.2, 0.1)[inside].sum(), abs=1e-6)
    assert bounds.p_from_log_e(0.0) == 1.0


def test_no_rows_prove_nothing_and_impossible_counts_are_refused() -> None:
    assert paired_exact.p_value(0, 0, 0, 0.05) == 1.0
    assert paired_exact.upper_bound_loss(0, 0, 0, 0.05, 0.1) == 1.0
    assert paired_exact.upper_bound_loss(10, 0, 10, 0.05, 0.1) == 1.0
    assert paired_exact.upper_bound_loss(0, 10, 10, 0.05, 0.1) < 0.0
    with pytest.raises(StepdownError, match="impossible"):
        paired_exact.p_value(3, 3, 5, 0.05)
    with pytest.raises(StepdownError, match="epsilon"):
        paired_exact.p_value(0, 0, 5, 1.0)
