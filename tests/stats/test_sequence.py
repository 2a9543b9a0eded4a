"""Thresholds tested in a sequence: the grid, the procedures, and how AUTO and WARM begin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepdown.errors import StepdownError
from stepdown.stats import bounds, kept_rows, sequence
from stepdown.stats.sequence import (
    certify_kept_accuracy,
    fallback,
    fixed_sequence,
    warm_start,
)

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
    ("n", "words"),
    [(700, "pilot of 70 rows"), (300, "pilot of 30"), (150, "at 22 rows"), (40, "at 22 rows")],
)
def test_auto_begins_as_the_number_of_rows_allows(n: int, words: str) -> None:
    confidence = np.linspace(1.0, 0.5, n)
    certificate = certify_kept_accuracy(confidence, np.ones(n), 0.9, 0.1, seed=1)
    assert words in certificate.method
    allowed = {level.allowed for level in certificate.path}
    assert allowed <= {0.0, 0.1}
    assert certificate.threshold == pytest.approx(confidence.min(), abs=0.02)
    assert certificate.n + certificate.n_pilot == n


def test_levels_hold_the_fewest_rows_that_pass_with_each_number_of_errors() -> None:
    confidence, score = traffic(200)
    certificate = certify_kept_accuracy(confidence, score, 0.9, 0.1, seed=1)
    assert [level.n_kept for level in certificate.path][:4] == [22, 38, 52, 65]
    sizes = kept_rows.exact_sizes(200, 0.9, 0.1)
    for wrong, size in enumerate(sizes.tolist()):
        assert bounds.accuracy_p_value(size - wrong, size, 0.9) <= 0.1
        assert bounds.accuracy_p_value(size - 1 - wrong, size - 1, 0.9) > 0.1


def test_large_data_has_few_levels_and_small_data_every_size() -> None:
    confidence, score = traffic(30_000)
    large = certify_kept_accuracy(confidence, score, 0.9, 0.1, seed=1)
    assert len(large.path) < 350
    assert kept_rows.exact_sizes(10, 0.9, 0.1).size == 0


def test_equal_confidences_are_kept_together() -> None:
    confidence = np.repeat([0.9, 0.5], [25, 25])
    certificate = certify_kept_accuracy(confidence, np.ones(50), 0.9, 0.1, seed=1)
    assert [level.n_kept for level in certificate.path] == [25, 50]


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


def test_a_start_is_chosen_on_other_rows_where_it_should_pass() -> None:
    confidence, score = traffic(400, seed=5)
    start = warm_start(confidence, score, 0.9, 0.1, n=600)
    assert start is not None
    assert 0.85 < start < 0.99
    good, bad = np.ones(400), np.zeros(400)
    widest = warm_start(confidence, good, 0.9, 0.1, n=600)
    assert widest is not None
    assert widest < start
    assert warm_start(confidence, bad, 0.9, 0.1, n=600) is not None
    assert warm_start(confidence, score, 0.9, 0.1, n=21) is None
    assert warm_start([np.nan], [1.0], 0.9, 0.1, n=600) is None


def test_confident_and_wrong_moves_the_start_past_the_spike() -> None:
    rng = np.random.default_rng(3)
    confidence = rng.random(4000)
    chance = np.where(confidence > 0.92, 0.5, np.clip(confidence + 0.15, 0, 0.99))
    score = (rng.random(4000) < chance).astype(float)
    start = warm_start(confidence, score, 0.8, 0.1, n=2000)
    assert start is not None
    assert start < 0.85


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


def test_groups_of_one_row_are_independent_rows() -> None:
    confidence, score = traffic(300)
    alone = certify_kept_accuracy(confidence, score, 0.85, 0.1, 1, groups=np.arange(300))
    assert alone == certify_kept_accuracy(confidence, score, 0.85, 0.1, 1)


def test_most_rows_without_a_confidence_still_give_an_answer() -> None:
    confidence, score = traffic(300)
    confidence[3:] = np.nan
    found = certify_kept_accuracy(confidence, score, 0.85, 0.1, 1)
    assert found.threshold is None
    assert "fewer than" in found.method


def test_unlabelled_confidences_lay_the_grid() -> None:
    confidence, score = traffic(300)
    found = certify_kept_accuracy(confidence, score, 0.85, 0.1, 1, unlabelled=[0.95, 0.85, 0.75])
    assert {level.threshold for level in found.path} <= {0.95, 0.85, 0.75}


def test_rows_that_do_not_pair_are_refused() -> None:
    with pytest.raises(StepdownError, match="pairs"):
        certify_kept_accuracy([0.9], [1.0, 0.0], 0.9, 0.1, 1)
    with pytest.raises(StepdownError, match="target"):
        certify_kept_accuracy([0.9], [1.0], 1.0, 0.1, 1)
