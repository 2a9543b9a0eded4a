"""Rows to plan for: by the test that ships, against simulation and published sizes."""

import numpy as np
import pytest
from scipy import stats

from stepdown.errors import StepdownError
from stepdown.stats import paired_exact, power


def test_kept_accuracy_needs_about_the_rows_of_the_shared_table() -> None:
    """GUARANTEES: 954 (+2 points at .90), 129 (+5 points), 448 (.95 + 2), about 1,420 (.99)."""
    cases = [(0.92, 0.9, 954), (0.95, 0.9, 129), (0.97, 0.95, 448), (0.995, 0.99, 1420)]
    for accuracy, target, rows in cases:
        found = power.labels_needed_kept(accuracy, target, 0.1).rows
        assert found == pytest.approx(rows, rel=0.11)
    assert power.labels_needed_kept(1.0, 0.99, 0.1).rows == 230


def test_kept_accuracy_power_equals_the_binomial_sum() -> None:
    needed = next(k for k in range(201) if stats.binom.sf(k - 1, 200, 0.9) <= 0.1)
    by_scipy = stats.binom.sf(needed - 1, 200, 0.95)
    assert power.kept_accuracy_power(200, 0.95, 0.9, 0.1) == pytest.approx(by_scipy)


@pytest.mark.parametrize("test", ["exact", "betting"])
def test_the_rows_found_have_the_power_and_many_fewer_do_not(test: power.Test) -> None:
    found = power.labels_needed(0.03, 0.03, 0.05, 0.1, 0.8, test=test)
    assert found.rows is not None
    assert 0.8 <= found.power < 0.87
    less = power.noninferiority_power(int(found.rows * 0.85), 0.03, 0.03, 0.05, 0.1, test=test)
    assert less < 0.8


def test_planned_power_is_the_share_of_simulated_certificates() -> None:
    planned = power.noninferiority_power(120, 0.04, 0.02, 0.07, 0.1)
    draws = np.random.default_rng(3).multinomial(120, [0.04, 0.02, 0.94], 500)
    outcomes, times = np.unique(draws, axis=0, return_counts=True)
    passed = [paired_exact.p_value(a, b, 120, 0.07) <= 0.1 for a, b, _ in outcomes]
    assert stats.binomtest(int(times[passed].sum()), 500, planned).pvalue > 0.001


def test_the_exact_test_plans_with_less_than_half_the_rows_of_betting() -> None:
    exact = power.labels_needed(0.05, 0.05, 0.05, 0.1).rows
    betting = power.labels_needed(0.05, 0.05, 0.05, 0.1, test="betting").rows
    assert exact is not None
    assert betting is not None
    assert exact < 0.5 * betting
    assert exact == pytest.approx(181, rel=0.2)  # the normal approximation, which is not valid


def test_without_any_difference_the_rows_are_those_of_zero_failures() -> None:
    found = power.labels_needed(0.0, 0.0, 0.05, 0.1)
    assert found.rows is not None
    assert 45 <= found.rows <= 48  # 0.95**45 < 0.1
    assert found.power == 1.0


@pytest.mark.parametrize("loss", [0.02, 0.04])
def test_a_loss_that_is_not_allowed_cannot_be_certified_with_more_rows(loss: float) -> None:
    found = power.labels_needed(0.03 + loss, 0.03, 0.02, 0.1, cap=3000)
    assert found.rows is None
    assert found.power < 0.15
    assert power.labels_needed_kept(0.9, 0.9, 0.1).rows is None
    assert power.labels_needed_kept(0.901, 0.9, 0.1, cap=500).rows is None


def test_smaller_allowances_need_more_rows() -> None:
    rows = [power.labels_needed(0.02, 0.02, e, 0.1).rows for e in (0.08, 0.05, 0.03)]
    assert None not in rows
    assert rows == sorted(rows)  # type: ignore[type-var]


def test_edges_and_impossible_rates() -> None:
    assert power.noninferiority_power(0, 0.1, 0.1, 0.05, 0.1) == 0.0
    assert power.kept_accuracy_power(0, 1.0, 0.9, 0.1) == 0.0
    assert power.kept_accuracy_power(30, 0.0, 0.9, 0.1) == 0.0
    with pytest.raises(StepdownError, match="rates"):
        power.labels_needed(0.7, 0.5, 0.05, 0.1)
    with pytest.raises(StepdownError, match="accuracy"):
        power.labels_needed_kept(1.2, 0.9, 0.1)
    with pytest.raises(StepdownError, match="power"):
        power.labels_needed(0.1, 0.1, 0.05, 0.1, power=1.0)
