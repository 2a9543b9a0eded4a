"""Binomial and betting bounds: against scipy, hand values, and their promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from stepdown.errors import StepdownError
from stepdown.stats import bounds

unit = arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1, width=32))
signed = arrays(np.float64, st.integers(1, 40), elements=st.floats(-1, 1, width=32))
means = st.floats(0.05, 0.95)


@pytest.mark.parametrize(("k", "n", "target"), [(0, 5, 0.9), (5, 5, 0.9), (88, 100, 0.8)])
def test_accuracy_p_value_equals_scipy(k: int, n: int, target: float) -> None:
    theirs = stats.binomtest(k, n, target, alternative="greater").pvalue
    assert float(bounds.accuracy_p_value(k, n, target)) == pytest.approx(theirs)


def test_accuracy_p_value_is_vectorised_and_one_without_rows() -> None:
    found = bounds.accuracy_p_value([0, 22], [0, 22], 0.9)
    assert found[0] == 1.0
    assert found[1] == pytest.approx(0.9**22)


def test_accuracy_lower_bound_equals_scipy_one_sided() -> None:
    theirs = stats.binomtest(88, 100, alternative="greater").proportion_ci(0.9, "exact").low
    assert bounds.accuracy_lower_bound(88, 100, 0.1) == pytest.approx(theirs)
    assert bounds.accuracy_lower_bound(0, 0, 0.1) == 0.0


@pytest.mark.parametrize(("target", "rows"), [(0.9, 22), (0.95, 45), (0.99, 230)])
def test_n_min_is_the_first_size_that_can_certify(target: float, rows: int) -> None:
    assert bounds.n_min(target, 0.1) == rows  # GUARANTEES: 22, 45, 230
    assert bounds.accuracy_needed(rows, target, 0.1) == rows
    assert bounds.accuracy_needed(rows - 1, target, 0.1) is None


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1, np.nan])
def test_a_target_or_delta_off_the_open_unit_is_refused(wrong: float) -> None:
    with pytest.raises(StepdownError, match="between 0 and 1"):
        bounds.n_min(wrong, 0.1)
    with pytest.raises(StepdownError, match="between 0 and 1"):
        bounds.upper_bound_loss([0.0], wrong)


def test_log_evalue_of_one_row_is_the_mean_over_the_stakes_by_hand() -> None:
    gain = (0.9 - 0.5) / 0.5
    by_hand = np.log(np.mean([1 + s * gain for s in bounds.STAKES]))
    assert bounds.log_evalue([0.9], 0.5) == pytest.approx(by_hand)


@given(unit, means)
def test_the_expected_evalue_never_exceeds_one_on_the_null(values: np.ndarray, mean: float) -> None:
    """Any two-point law with that mean, summed over both outcomes of one row: exactly 1."""
    low, high = values.min() * mean, mean + (1 - mean) * values.max()
    if high - low < 1e-9:
        return
    p = (mean - low) / (high - low)
    found = [np.exp(bounds.log_evalue([v], mean)) for v in (low, high)]
    assert (1 - p) * found[0] + p * found[1] == pytest.approx(1.0)


@given(unit, means, st.randoms())
def test_log_evalue_does_not_depend_on_the_order(
    values: np.ndarray, mean: float, rng: object
) -> None:
    shuffled = list(values)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = bounds.log_evalue(values, mean), bounds.log_evalue(shuffled, mean)
    assert one == pytest.approx(other, abs=1e-9)


@given(unit, means, means)
def test_log_evalue_falls_with_the_mean_and_rises_with_a_value(
    values: np.ndarray, one: float, other: float
) -> None:
    low, high = sorted([one, other])
    assert bounds.log_evalue(values, low) >= bounds.log_evalue(values, high) - 1e-9
    better = values.copy()
    better[0] = 1.0
    assert bounds.log_evalue(better, one) >= bounds.log_evalue(values, one) - 1e-9
    anytime = bounds.log_evalue(values, one, anytime=True)
    assert anytime >= bounds.log_evalue(values, one) - 1e-9


@settings(max_examples=30, deadline=None)
@given(signed, st.floats(0.01, 0.5), st.booleans())
def test_the_loss_bound_agrees_with_the_test_and_stays_in_its_range(
    values: np.ndarray, delta: float, anytime: bool
) -> None:
    bound = bounds.upper_bound_loss(values, delta, anytime=anytime)
    assert -values.mean() - 1e-6 <= bound <= 1.0
    if bound < 0.99:
        above = bounds.difference_log_evalue(values, bound + 1e-6, anytime=anytime)
        below = bounds.difference_log_evalue(values, bound - 1e-6, anytime=anytime)
        assert above >= -np.log(delta) - 1e-3
        assert below <= -np.log(delta) + 1e-3


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.floats(0.005, 0.5))
def test_counts_give_the_same_evalue_as_rows(a: int, z: int, b: int, epsilon: float) -> None:
    rows = np.repeat([-1.0, 0.0, 1.0], [a, z, b])
    from_counts = float(bounds.difference_log_evalue_counts(a, z, b, epsilon))
    assert from_counts == pytest.approx(bounds.difference_log_evalue(rows, epsilon), abs=1e-9)


def test_counts_are_vectorised() -> None:
    found = bounds.difference_log_evalue_counts([0, 5], [300, 290], [0, 5], 0.05)
    assert found.shape == (2,)
    assert found[0] > found[1] > 0


@given(signed, st.floats(0.01, 0.5))
def test_groups_of_one_row_are_rows(values: np.ndarray, epsilon: float) -> None:
    alone = bounds.difference_log_evalue(values, epsilon)
    groups = bounds.cluster_log_evalue(values + epsilon, np.arange(values.size), 1 - epsilon)
    assert groups == pytest.approx(alone, abs=1e-9)
    bound = bounds.cluster_upper_bound_loss(values, np.arange(values.size), 0.1)
    assert bound == pytest.approx(bounds.upper_bound_loss(values, 0.1), abs=1e-6)


def test_copies_of_a_row_in_a_group_carry_no_more_evidence_than_the_row() -> None:
    values = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], 200, p=[0.02, 0.96, 0.02])
    alone = bounds.difference_log_evalue(values, 0.05)
    copied = bounds.cluster_log_evalue(
        np.repeat(values + 0.05, 4), np.repeat(np.arange(200), 4), 0.95
    )
    assert copied == pytest.approx(alone)


def test_no_rows_carry_no_evidence() -> None:
    assert bounds.log_evalue([], 0.5) == 0.0
    assert bounds.cluster_log_evalue([], [], 1.0) == 0.0
    assert bounds.mean_lower_bound([], 0.1) == 0.0
    assert bounds.upper_bound_loss([], 0.1) == 1.0
    assert bounds.log_evalue([0.0, 0.1], 0.0) == np.inf


def test_impossible_arguments_are_named() -> None:
    with pytest.raises(StepdownError, match="outside"):
        bounds.log_evalue([0.5, np.nan], 0.5)
    with pytest.raises(StepdownError, match="epsilon"):
        bounds.difference_log_evalue([0.0], 1.0)
    with pytest.raises(StepdownError, match="groups"):
        bounds.cluster_log_evalue([0.0, 0.0], ["a"], 1.0)
    with pytest.raises(StepdownError, match="between 0 and n"):
        bounds.accuracy_p_value(3, 2, 0.9)


def test_p_from_log_e_is_one_for_no_evidence() -> None:
    assert bounds.p_from_log_e([-3.0, 0.0, np.log(20.0), np.inf]).tolist() == pytest.approx(
        [1.0, 1.0, 0.05, 0.0]
    )


@pytest.mark.parametrize("anytime", [True, False])
def test_bets_taken_piece_by_piece_win_what_they_win_at_once(
    anytime: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gain = np.random.default_rng(1).random(2500) - 0.45
    at_once = bounds._log_wealth(gain, anytime)
    monkeypatch.setattr(bounds, "ROWS_AT_ONCE", 100)
    assert bounds._log_wealth(gain, anytime) == pytest.approx(at_once, abs=1e-9)
