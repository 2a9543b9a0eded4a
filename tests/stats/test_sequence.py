"""Thresholds tested in a sequence: the grid, the procedures, and how AUTO and WARM begin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepdown.errors import StepdownError
from stepdown.stats import sequence
from stepdown.stats.sequence import certify_kept_accuracy, fallback, fixed_sequence

p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def traffic(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose accuracy is their confidence, uniform in .5..1."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.5, 1.0, n)
    return confidence, (rng.random(n) < confidence).astype(float)


def test_the_grid_falls_keeps_growing_shares_and_ends_with_all() -> None:
    confidence, _ = traffic(2000)
    grid = sequence.threshold_grid(confidence)
    kept = [(confidence >= t).mean() for t in grid]
    assert np.all(np.diff(grid) < 0)
    assert kept[-1] == 1.0
    assert max(np.diff([k for k in kept if k > 0.05])) < 0.026
    assert sum(k < 0.05 for k in kept) >= 5


def test_ties_give_one_threshold_and_missing_confidences_none() -> None:
    assert sequence.threshold_grid([0.9] * 50 + [0.2] * 50).tolist() == [0.9, 0.2]
    assert sequence.threshold_grid([np.nan, 0.5]).tolist() == [0.5]
    assert sequence.threshold_grid([np.nan, np.nan]).size == 0
    assert sequence.threshold_grid([]).size == 0


def test_a_fixed_sequence_stops_at_the_first_that_fails() -> None:
    p = [0.5, 0.01, 0.02, 0.2, 0.001]
    assert fixed_sequence(p, 0.1) is None
    assert fixed_sequence(p, 0.1, start=1) == 2
    assert fixed_sequence(p, 0.1, start=4) == 4
    with pytest.raises(StepdownError, match="starts"):
        fixed_sequence(p, 0.1, start=5)


def test_fallback_passes_delta_on_only_from_a_rejected_hypothesis() -> None:
    shares = {0: 0.085, 2: 0.015}
    assert fallback([0.08, 0.01, 0.09, 0.09], shares) == (True, True, True, True)
    assert fallback([0.09, 0.00, 0.01, 0.02], shares) == (False, False, True, False)


@given(p_lists, st.floats(0.01, 0.2))
def test_fallback_with_one_start_is_the_fixed_sequence(p: list[float], delta: float) -> None:
    rejected = fallback(p, {0: delta})
    last = fixed_sequence(p, delta)
    assert sum(rejected) == (0 if last is None else last + 1)


@given(p_lists, st.data())
def test_fallback_rejects_no_fewer_when_a_p_value_falls(
    p: list[float], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(p) - 1))
    shares = {0: 0.05, len(p) - 1: 0.05} if len(p) > 1 else {0: 0.1}
    better = [*p[:place], p[place] / 2, *p[place + 1 :]]
    before, after = fallback(p, shares), fallback(better, shares)
    assert all(b or not a for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("n", "words", "starts"),
    [
        (700, "pilot of 175", [0.1]),
        (300, "starts by size", [0.085, 0.015]),
        (150, "starts by size", [0.085, 0.015]),
        (100, "starts by size", [0.1]),
        (40, "starts by size", [0.1]),
    ],
)
def test_auto_begins_as_the_number_of_rows_allows(n: int, words: str, starts: list[float]) -> None:
    confidence = np.linspace(1.0, 0.5, n)
    certificate = certify_kept_accuracy(confidence, np.ones(n), 0.9, 0.1, seed=1)
    assert words in certificate.method
    allowed = np.array([level.allowed for level in certificate.path])
    jumps = np.diff(np.concatenate([[0.0], allowed]))
    assert jumps[jumps > 1e-12].tolist() == pytest.approx(starts)
    assert certificate.threshold == pytest.approx(confidence.min(), abs=0.01)


def test_the_first_start_holds_the_rows_that_the_rule_names() -> None:
    confidence = np.linspace(1.0, 0.5, 300)
    certificate = certify_kept_accuracy(confidence, np.ones(300), 0.9, 0.1, seed=1)
    tested = [level for level in certificate.path if level.p_value is not None]
    assert tested[0].n_kept >= 4 * 22
    assert tested[0].n_kept < 4 * 22 + 8
    second = next(level for level in certificate.path if level.allowed > 0.0999)
    assert second.n_kept >= 10 * 22


def test_too_few_rows_certify_nothing_and_say_how_few() -> None:
    certificate = certify_kept_accuracy([0.9] * 21, [1.0] * 21, 0.9, 0.1, seed=1)
    assert not certificate.certified
    assert "fewer than 22" in certificate.method
    assert certify_kept_accuracy([0.9] * 22, [1.0] * 22, 0.9, 0.1, seed=1).certified


def test_rows_without_confidence_are_never_kept() -> None:
    nothing = certify_kept_accuracy([np.nan] * 50, [1.0] * 50, 0.9, 0.1, seed=1)
    assert nothing.threshold is None
    some = certify_kept_accuracy([np.nan] * 50 + [0.8] * 50, [0.0] * 50 + [1.0] * 50, 0.9, 0.1, 1)
    assert some.threshold == 0.8
    assert some.kept == 50


def test_nothing_correct_certifies_nothing() -> None:
    confidence, _ = traffic(1000)
    for graded in (False, True):
        found = certify_kept_accuracy(confidence, np.zeros(1000), 0.9, 0.1, 1, graded=graded)
        assert found.threshold is None
        assert found.kept == 0


def test_a_start_from_other_rows_is_taken_and_named() -> None:
    confidence, score = traffic(600)
    warm = certify_kept_accuracy(confidence, score, 0.9, 0.1, 1, start=0.9)
    assert "WARM" in warm.method
    first = next(level for level in warm.path if level.p_value is not None)
    assert first.threshold == pytest.approx(0.9, abs=0.02)
    assert warm.n_pilot == 0


def test_the_certificate_shows_the_whole_path_and_a_bound_above_the_target() -> None:
    confidence, score = traffic(2000, seed=3)
    found = certify_kept_accuracy(confidence, score, 0.85, 0.1, seed=1)
    assert found.threshold is not None
    assert found.lower_bound is not None
    assert found.lower_bound >= 0.85
    assert found.n + found.n_pilot == 2000
    assert found.path[-1].n_kept == found.n
    last = [level for level in found.path if level.passed][-1]
    assert (last.threshold, last.n_kept) == (found.threshold, found.kept)
    assert last.mean is not None
    assert last.mean > 0.85


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_without_a_pilot_the_order_of_rows_does_not_matter(seed: int) -> None:
    confidence, score = traffic(300, seed)
    order = np.random.default_rng(seed).permutation(300)
    one = certify_kept_accuracy(confidence, score, 0.85, 0.1, 1)
    other = certify_kept_accuracy(confidence[order], score[order], 0.85, 0.1, 1)
    assert one.threshold == other.threshold


def test_graded_scores_must_be_declared_and_are_tested_by_betting() -> None:
    confidence, score = traffic(900, seed=2)
    softer = np.clip(score + 0.3 * (score == 0), 0, 1)
    with pytest.raises(StepdownError, match="graded"):
        certify_kept_accuracy(confidence, softer, 0.85, 0.1, 1)
    found = certify_kept_accuracy(confidence, softer, 0.8, 0.1, 1, graded=True)
    assert "betting" in found.method
    assert found.threshold is not None
    assert found.lower_bound is not None
    assert found.lower_bound >= 0.8


def test_copied_rows_in_groups_do_not_lower_the_threshold() -> None:
    confidence, score = traffic(200, seed=4)
    groups = np.repeat(np.arange(200), 5)
    copied = np.repeat(confidence, 5), np.repeat(score, 5)
    naive = certify_kept_accuracy(*copied, 0.85, 0.1, 1)
    grouped = certify_kept_accuracy(*copied, 0.85, 0.1, 1, groups=groups)
    assert "group sums" in grouped.method
    assert naive.threshold is not None
    assert grouped.threshold is None or grouped.threshold >= naive.threshold


def test_unlabelled_confidences_lay_the_grid() -> None:
    confidence, score = traffic(300)
    found = certify_kept_accuracy(confidence, score, 0.85, 0.1, 1, unlabelled=[0.95, 0.85, 0.75])
    assert {level.threshold for level in found.path} <= {0.95, 0.85, 0.75}


def test_rows_that_do_not_pair_are_refused() -> None:
    with pytest.raises(StepdownError, match="pairs"):
        certify_kept_accuracy([0.9], [1.0, 0.0], 0.9, 0.1, 1)
    with pytest.raises(StepdownError, match="target"):
        certify_kept_accuracy([0.9], [1.0], 1.0, 0.1, 1)
