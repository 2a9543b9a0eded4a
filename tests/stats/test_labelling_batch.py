"""Which rows of a batch to label: the threshold keeps its word for the batch, at few labels."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from label_batch import BatchQuestion, BatchStanding, standing
from stepdown.errors import StepdownError

Accuracy = Callable[[np.ndarray], np.ndarray]
POPULATIONS: dict[str, Accuracy] = {
    "calibrated": lambda c: c,
    "confident but wrong": lambda c: np.where(c > 0.96, 0.86, np.minimum(1.0, c + 0.16)),
    "just below the target": lambda c: np.full_like(c, 0.895),
    "good at the top only": lambda c: np.where(c > 0.9, 0.97, 0.6),
}


def batch(name: str, n: int, seed: int, ties: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, seed])
    confidence = rng.uniform(0.5, 1.0, n)
    right = rng.random(n) < POPULATIONS[name](confidence)
    return (np.round(confidence, ties) if ties else confidence), right.astype(float)


def labelled(
    confidence: np.ndarray, right: np.ndarray, budget: int, seed: int, target: float = 0.9
) -> tuple[BatchStanding, int]:
    """Label what is asked for until nothing is; the standing and the number of labels."""
    question = BatchQuestion(confidence, target, 0.1, budget, seed)
    known = np.zeros(right.size, dtype=bool)
    kept = 0
    while not (found := standing(question, known, right)).finished:
        assert not known[found.wanted.rows].any()
        assert found.kept >= kept
        kept = found.kept
        known[found.wanted.rows] = True
    assert known.sum() <= budget
    assert found.asked == known.sum()
    return found, int(known.sum())


def broken(name: str, budget: int, trials: int, ties: int = 0) -> int:
    """Certificates whose kept answers are right no more often than the target."""
    bad = 0
    for seed in range(trials):
        confidence, right = batch(name, 1000, seed, ties)
        found, _ = labelled(confidence, right, budget, seed)
        if found.threshold is not None:
            kept = confidence >= found.threshold
            assert kept.sum() == found.kept
            bad += right[kept].mean() < 0.9
    return bad


def judge(cells: dict[str, tuple[int, int]]) -> None:
    """Exact binomial tests with Holm at .01."""
    p = sorted(stats.binomtest(*cell, 0.1, alternative="greater").pvalue for cell in cells.values())
    assert all(one > 0.01 / (len(p) - rank) for rank, one in enumerate(p)), cells


def test_thresholds_of_a_batch_break_their_promise_no_more_often_than_delta() -> None:
    judge({name: (broken(name, 200, 20), 20) for name in POPULATIONS})


@pytest.mark.slow
def test_thresholds_of_a_batch_keep_their_promise_in_a_larger_study() -> None:
    cells = {
        f"{name}, {budget} labels, ties {ties}": (broken(name, budget, 100, ties), 100)
        for name in POPULATIONS
        for budget, ties in ((150, 2), (600, 0))
    }
    judge(cells)


def test_a_spike_of_confident_wrong_answers_does_not_stop_it() -> None:
    kept = [
        labelled(*batch("confident but wrong", 5000, seed), 600, seed)[0].kept for seed in range(6)
    ]
    assert np.median(kept) > 0.5 * 5000  # 87% is possible; from the top down: nothing


def test_the_labels_asked_for_are_a_function_of_the_labels_given() -> None:
    confidence, right = batch("calibrated", 1500, 1)
    question = BatchQuestion(confidence, 0.9, 0.1, 200, 7)
    nothing = np.zeros(1500, dtype=bool)
    first = standing(question, nothing, right)
    again = standing(question, nothing, 1.0 - right)
    assert first.wanted.rows.tolist() == again.wanted.rows.tolist()
    assert first.wanted.rows.size == 50
    assert "plan" in first.wanted.reason
    assert first.threshold is None


def test_labels_that_were_not_asked_for_change_nothing() -> None:
    confidence, right = batch("calibrated", 1500, 2)
    found, used = labelled(confidence, right, 200, 3)
    all_known = standing(
        BatchQuestion(confidence, 0.9, 0.1, 200, 3), np.ones(1500, dtype=bool), right
    )
    assert all_known.finished
    assert (all_known.threshold, all_known.kept, all_known.asked) == (
        found.threshold,
        found.kept,
        used,
    )


def test_a_row_without_confidence_is_never_kept_nor_labelled() -> None:
    confidence, right = batch("calibrated", 1500, 4)
    confidence[::3] = np.nan
    question = BatchQuestion(confidence, 0.9, 0.1, 300, 1)
    known = np.zeros(1500, dtype=bool)
    while not (found := standing(question, known, right)).finished:
        known[found.wanted.rows] = True
    assert not known[::3].any()


def test_all_right_keeps_all_and_all_wrong_keeps_nothing() -> None:
    confidence, _ = batch("calibrated", 1000, 5)
    found, _ = labelled(confidence, np.ones(1000), 300, 1)
    assert found.kept == 1000
    nothing, used = labelled(confidence, np.zeros(1000), 300, 1)
    assert (nothing.threshold, nothing.kept) == (None, 0)
    assert used < 300


def test_a_budget_of_the_whole_batch_finds_the_best_level() -> None:
    confidence, right = batch("calibrated", 400, 6)
    found, _ = labelled(confidence, right, 400, 1)
    order = np.argsort(-confidence)
    possible = np.flatnonzero(np.cumsum(right[order]) >= 0.9 * np.arange(1, 401))[-1] + 1
    assert 0.4 * possible <= found.kept <= possible


def test_levels_labelled_to_the_last_row_in_vain_are_never_certified_by_the_rest() -> None:
    """Only a few rows are nearly good enough, and the budget labels them all."""
    for seed in range(24, 28):
        rng = np.random.default_rng(seed)
        confidence = rng.uniform(0.0, 1.0, 6000)
        right = (rng.random(6000) < np.where(confidence > 0.92, 0.885, 0.5)).astype(float)
        found, _ = labelled(confidence, right, 1500, seed)
        if found.threshold is not None:
            assert right[confidence >= found.threshold].mean() >= 0.88


def test_no_rows_and_no_budget_ask_for_nothing() -> None:
    empty = standing(BatchQuestion(np.zeros(0), 0.9, 0.1, 100, 1), np.zeros(0, bool), np.zeros(0))
    assert empty.finished
    assert empty.threshold is None
    confidence, right = batch("calibrated", 100, 7)
    broke = standing(BatchQuestion(confidence, 0.9, 0.1, 0, 1), np.zeros(100, bool), right)
    assert broke.finished
    assert broke.kept == 0


def test_a_wrong_argument_of_a_batch_question_is_named() -> None:
    with pytest.raises(StepdownError, match="budget"):
        BatchQuestion(np.zeros(3), 0.9, 0.1, -1, 1)
    with pytest.raises(StepdownError, match="target"):
        BatchQuestion(np.zeros(3), 1.0, 0.1, 10, 1)
    question = BatchQuestion(np.linspace(0, 1, 50), 0.9, 0.1, 20, 1)
    with pytest.raises(StepdownError, match="correct"):
        standing(question, np.ones(50, bool), np.full(50, 0.5))
