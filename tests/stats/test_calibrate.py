"""Calibration maps and their measures: against scikit-learn and hand values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score

from stepdown.errors import StepdownError
from stepdown.stats import calibrate

rows = st.lists(
    st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9, 1.0]), st.integers(0, 1)), min_size=1
)


def scored(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=n)
    return scores, (rng.random(n) < 1 / (1 + np.exp(-2 * scores - 0.5))).astype(float)


def test_temperature_recovers_the_scale_of_the_logits() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4000, 5)) * 2
    cumulative = np.cumsum(calibrate.Temperature(1.0).apply(logits), axis=1)
    labels = np.minimum((rng.random((4000, 1)) > cumulative).sum(axis=1), 4)
    assert calibrate.fit_temperature(logits * 3, labels).temperature == pytest.approx(3, rel=0.06)


def test_temperature_keeps_the_first_choice_and_sums_to_one() -> None:
    logits = np.random.default_rng(1).normal(size=(50, 7)) * 10
    p = calibrate.Temperature(2.5).apply(logits)
    assert p.sum(axis=1) == pytest.approx(np.ones(50))
    assert (p.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_temperature_is_where_the_likelihood_is_flat() -> None:
    logits, labels = np.random.default_rng(2).normal(size=(300, 4)), np.arange(300) % 4
    logits[np.arange(300), labels] += 1.0
    best = calibrate.fit_temperature(logits, labels).temperature

    def loss(temperature: float) -> float:
        p = calibrate.Temperature(temperature).apply(logits)
        return float(-np.log(p[np.arange(300), labels]).mean())

    assert loss(best) <= min(loss(best * 1.01), loss(best / 1.01))


def test_platt_equals_an_unpenalised_logistic_regression_on_smoothed_targets() -> None:
    scores, correct = scored()
    good, bad = correct.sum(), (1 - correct).sum()
    high, low = (good + 1) / (good + 2), 1 / (bad + 2)
    target = np.where(correct == 1, high, low)
    twice = np.tile(scores, 2)[:, None]
    model = LogisticRegression(C=1e10, tol=1e-10).fit(
        twice, np.repeat([1, 0], scores.size), np.concatenate([target, 1 - target])
    )
    ours = calibrate.fit_platt(scores, correct)
    assert ours.slope == pytest.approx(model.coef_[0, 0], rel=1e-3)
    assert ours.offset == pytest.approx(model.intercept_[0], rel=1e-3)


@pytest.mark.parametrize("scores", [[0.5] * 6, [0.1, 0.1, 0.2, 0.8, 0.9, 0.9]])
def test_platt_stays_finite_without_spread_or_with_separable_rows(scores: list[float]) -> None:
    fitted = calibrate.fit_platt(scores, [0, 0, 0, 1, 1, 1])
    assert np.isfinite([fitted.slope, fitted.offset]).all()
    assert np.all((fitted.apply(scores) > 0) & (fitted.apply(scores) < 1))
    ones = calibrate.fit_platt(scores, np.ones(6))
    assert ones.apply(scores) == pytest.approx(np.full(6, 7 / 8), abs=0.01)  # Platt's target


def test_isotonic_equals_scikit_learn_on_its_rows_and_between() -> None:
    scores, correct = scored()
    scores = np.round(scores, 1)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, correct)
    ours = calibrate.fit_isotonic(scores, correct)
    asked = np.linspace(-4, 4, 500)
    assert ours.apply(asked) == pytest.approx(theirs.predict(asked))


@given(rows)
def test_isotonic_rises_stays_in_the_unit_and_keeps_the_mean(
    pairs: list[tuple[float, int]],
) -> None:
    scores, correct = np.array(pairs).T
    fitted = calibrate.fit_isotonic(scores, correct).apply(scores)
    assert np.all(np.diff(fitted[np.argsort(scores)]) >= -1e-12)
    assert np.all((fitted >= 0) & (fitted <= 1))
    assert fitted.mean() == pytest.approx(correct.mean())


def test_auroc_and_brier_equal_scikit_learn_with_ties() -> None:
    scores, correct = scored()
    confidence = np.round(1 / (1 + np.exp(-scores)), 1)
    assert calibrate.auroc(confidence, correct) == pytest.approx(roc_auc_score(correct, confidence))
    assert calibrate.brier(confidence, correct) == pytest.approx(
        brier_score_loss(correct, confidence)
    )


def test_measures_of_nothing_are_unknown() -> None:
    assert calibrate.auroc([0.1, 0.9], [1, 1]) is None
    assert calibrate.auroc([], []) is None
    assert calibrate.brier([], []) is None
    assert calibrate.ece([], []) is None
    assert calibrate.reliability_bins([], []) == ()
    assert calibrate.risk_coverage([], []).coverage.size == 0


def test_ece_by_hand() -> None:
    confidence, correct = [0.9] * 10 + [0.6] * 10, [1] * 8 + [0] * 2 + [1] * 6 + [0] * 4
    assert calibrate.ece(confidence, correct, bins=2) == pytest.approx(0.05)  # half of |.9 - .8|


@given(rows, st.integers(1, 20))
def test_reliability_bins_hold_every_row_once(pairs: list[tuple[float, int]], bins: int) -> None:
    confidence, correct = np.array(pairs).T
    parts = calibrate.reliability_bins(confidence, correct, bins)
    assert sum(part.n for part in parts) == len(pairs)
    assert len(parts) <= bins
    assert sum(part.n * part.accuracy for part in parts) == pytest.approx(correct.sum())
    means = [part.mean_confidence for part in parts]
    assert means == sorted(means)
    assert 0.0 <= (calibrate.ece(confidence, correct, bins) or 0.0) <= 1.0


def test_risk_coverage_by_hand() -> None:
    curve = calibrate.risk_coverage([0.9, 0.8, 0.8, 0.1], [1, 0, 1, 0])
    assert curve.thresholds.tolist() == [0.9, 0.8, 0.1]
    assert curve.coverage.tolist() == [0.25, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0.0, 1 / 3, 0.5])
    assert curve.area == pytest.approx(0.5 / 3 + 0.25 / 2)


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(StepdownError, match="pairs"):
        calibrate.fit_platt([0.1], [1, 0])
    with pytest.raises(StepdownError, match="no rows"):
        calibrate.fit_isotonic([], [])
    with pytest.raises(StepdownError, match="finite"):
        calibrate.fit_platt([np.nan], [1])
    with pytest.raises(StepdownError, match="classes"):
        calibrate.fit_temperature([[0.0, 1.0]], [2])
    with pytest.raises(StepdownError, match="shape"):
        calibrate.fit_temperature(np.zeros((0, 2)), [])
    with pytest.raises(StepdownError, match="temperature"):
        calibrate.Temperature(0.0)
    with pytest.raises(StepdownError, match="rising"):
        calibrate.Isotonic((0.0, 1.0), (1.0, 0.0))
    with pytest.raises(StepdownError, match="bins"):
        calibrate.reliability_bins([0.5], [1], bins=0)
