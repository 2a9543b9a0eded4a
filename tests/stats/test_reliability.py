"""Maps are judged on rows that they did not see; a better map of a known curve shows as one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from stepdown.errors import DataError
from stepdown.stats.calibrate import auroc, auroc_error, fit_beta
from stepdown.stats.reliability import MAPS, CalibrationReport, calibration_report, out_of_fold


def curve(n: int, seed: int, a: float, b: float, c: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    s = rng.uniform(0.02, 0.98, n)
    p = 1 / (1 + np.exp(-(a * np.log(s) - b * np.log(1 - s) + c)))
    return s, (rng.random(n) < p).astype(float)


def test_a_beta_map_finds_the_curve_that_made_the_rows() -> None:
    found = fit_beta(*curve(40_000, 1, 0.5, 2.0, -0.5))
    assert (found.a, found.b, found.c) == pytest.approx((0.5, 2.0, -0.5), abs=0.12)


def test_a_beta_map_equals_a_logistic_regression_on_the_two_logarithms() -> None:
    s, right = curve(3000, 2, 0.7, 1.2, 0.3)
    good, bad = right.sum(), (1 - right).sum()
    target = np.where(right == 1, (good + 1) / (good + 2), 1 / (bad + 2))
    features = np.column_stack([np.log(s), -np.log(1 - s)])
    model = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(
        np.vstack([features, features]),
        np.repeat([1, 0], s.size),
        np.concatenate([target, 1 - target]),
    )
    found = fit_beta(s, right)
    assert (found.a, found.b) == pytest.approx(model.coef_[0], abs=1e-3)
    assert found.c == pytest.approx(model.intercept_[0], abs=1e-3)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=2, max_size=40),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_beta_map_never_falls(rows: list[tuple[float, int]], x: float, y: float) -> None:
    found = fit_beta([score for score, _ in rows], [right for _, right in rows])
    low, high = found.apply(sorted((x, y)))
    assert 0 <= low <= high + 1e-12 <= 1 + 1e-12


def test_a_signal_that_points_the_wrong_way_gets_a_flat_map() -> None:
    s, right = curve(2000, 3, 1.0, 1.0, 0.0)
    found = fit_beta(s, 1 - right)
    assert (found.a, found.b) == (0, 0)
    assert found.apply([0.1, 0.9]) == pytest.approx([1 - right.mean()] * 2, abs=1e-3)


def named(report: CalibrationReport) -> dict[str, float]:
    return {one.name: one.brier for one in (report.before, *report.after)}


def test_every_map_is_reported_before_and_after_on_rows_it_did_not_see() -> None:
    s, right = curve(6000, 4, 0.3, 2.5, -1.5)
    report = calibration_report(s, right, folds=5, seed=9)
    brier = named(report)
    assert list(brier) == ["as it came", "temperature", "platt", "beta", "isotonic"]
    assert brier["beta"] < brier["platt"] < brier["as it came"]
    assert report.after[2].ece < report.before.ece
    assert (report.n, report.folds) == (6000, 5)
    assert report.before.auroc == pytest.approx(auroc(s, right))


def test_no_row_is_mapped_by_a_fit_that_saw_it() -> None:
    rng = np.random.default_rng(5)
    s, right = rng.permutation(400) / 400, (rng.random(400) < 0.5).astype(float)
    report = calibration_report(s, right, folds=5, seed=1)
    isotonic = report.after[3]
    assert isotonic.auroc is not None
    assert isotonic.auroc < 0.6  # in sample it would follow the noise
    fold = np.arange(400) % 5
    flipped = np.where(fold == 0, 1 - right, right)
    fits = dict(MAPS)
    one, other = (out_of_fold(fits["isotonic"], s, y, fold) for y in (right, flipped))
    assert (one[fold == 0] == other[fold == 0]).all()


def test_the_same_seed_gives_the_same_report() -> None:
    s, right = curve(300, 6, 1, 1, 0)
    assert named(calibration_report(s, right, seed=3)) == named(
        calibration_report(s, right, seed=3)
    )
    assert named(calibration_report(s, right, seed=3)) != named(
        calibration_report(s, right, seed=4)
    )


def test_all_right_rows_have_no_auroc_and_still_a_report() -> None:
    report = calibration_report(np.linspace(0.1, 0.9, 50), np.ones(50), folds=5)
    assert report.before.auroc is None
    assert all(one.area == 0 for one in report.after)


@pytest.mark.parametrize(
    ("signal", "right", "folds"),
    [([0.5, 0.6], [1], 2), ([0.5, 0.6], [1, 0], 1), ([0.5, 0.6], [1, 0], 3), ([1.5, 0], [1, 0], 2)],
)
def test_what_cannot_be_reported_is_refused(
    signal: list[float], right: list[int], folds: int
) -> None:
    with pytest.raises(DataError):
        calibration_report(signal, right, folds)


def test_the_error_of_an_auroc_is_its_spread_over_samples() -> None:
    rng = np.random.default_rng(8)
    areas = []
    for _ in range(600):
        good, bad = rng.normal(1, 1, 60), rng.normal(0, 1, 40)
        areas.append(auroc(np.r_[good, bad], np.r_[np.ones(60), np.zeros(40)]))
    assert auroc_error(float(np.mean(areas)), 60, 40) == pytest.approx(np.std(areas), rel=0.15)


def test_a_perfect_area_among_few_rows_has_shown_little() -> None:
    assert auroc_error(1.0, 23, 1) > 0.25
    assert auroc_error(1.0, 500, 500) < 0.003
