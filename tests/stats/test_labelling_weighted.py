"""Labels drawn with known, unequal chances: valid with any prediction, few with a good one."""

import numpy as np
import pytest
from scipy import stats

from label_weighted import (
    Scored,
    WeightedQuestion,
    WeightedStanding,
    drawn,
    inclusion,
    next_rows,
    standing,
)
from stepdown.errors import StepdownError


def rows(n: int, seed: int, right: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Whether answers agree (85%), and 0/1 scores with these chances if they do, if they do not."""
    rng = np.random.default_rng([n, seed])
    agree = rng.random(n) < 0.85
    return agree, (rng.random(n) < np.where(agree, *right)).astype(float)


def question(
    agree: np.ndarray, guess: np.ndarray, target: float, share: float, seed: int
) -> WeightedQuestion:
    chance = inclusion(guess, share) if share < 1 else np.ones(agree.size)
    kept = np.ones((1, agree.size), dtype=bool)
    return WeightedQuestion(kept, guess[None], chance, target, 0.1, 0, seed=seed)


def until_certified(asked: WeightedQuestion, score: np.ndarray, step: int = 25) -> int | None:
    """The labels at which the policy is certified; None when it never is."""
    order = drawn(asked)
    for count in range(step, order.size + 1, step):
        known = np.zeros(score.size, dtype=bool)
        known[order[:count]] = True
        if standing(asked, Scored(known, score)).certified is not None:
            return count
    return None


@pytest.mark.parametrize("guess", ["good", "wrong way round"])
def test_stopping_as_soon_as_it_passes_keeps_the_promise_whatever_the_prediction(
    guess: str,
) -> None:
    bad = 0
    for seed in range(200):
        agree, score = rows(300, seed, (0.98, 0.4467))  # .90 on average: exactly the target
        told = np.where(agree == (guess == "good"), 0.97, 0.5)
        bad += until_certified(question(agree, told, 0.9, 0.45, seed), score) is not None
    assert stats.binomtest(bad, 200, 0.1, alternative="greater").pvalue > 0.01


def test_ignoring_the_chances_is_caught_by_this_very_judge() -> None:
    """Rows that agree drawn more often, and treated as if all were drawn alike."""
    bad = 0
    for seed in range(40):
        agree, score = rows(1000, seed, (0.98, 0.4467))
        often = np.random.default_rng(seed).random(1000) < np.where(agree, 0.9, 0.25)
        alone = np.ones((1, int(often.sum())), dtype=bool)
        naive = WeightedQuestion(alone, alone * 0.9, np.ones(often.sum()), 0.9, 0.1, 0, seed=seed)
        bad += until_certified(naive, score[often], 100) is not None
    assert stats.binomtest(bad, 40, 0.1, alternative="greater").pvalue < 0.01


def test_a_good_prediction_halves_the_labels() -> None:
    needed: dict[float, list[float]] = {0.3: [], 1.0: []}
    for seed in range(12):
        agree, score = rows(1500, seed, (0.99, 0.65))
        told = np.where(agree, 0.97, 0.65)
        for share, found in needed.items():
            labels = until_certified(question(agree, told, 0.9, share, seed), score)
            found.append(np.inf if labels is None else labels)
    assert np.median(needed[0.3]) < 0.5 * np.median(needed[1.0])


def test_rows_are_asked_for_in_their_order_until_it_is_decided() -> None:
    agree, score = rows(800, 1, (0.99, 0.8))
    asked = question(agree, np.where(agree, 0.97, 0.7), 0.9, 0.4, 1)
    known = np.zeros(800, dtype=bool)
    before: WeightedStanding | None = None
    while (wanted := next_rows(asked, Scored(known, score), 20).rows).size:
        assert not known[wanted].any()
        known[wanted] = True
        now = standing(asked, Scored(known, score))
        assert before is None or now.labels_left_at_most < before.labels_left_at_most
        before = now
    assert before is not None
    assert before.certified == 0
    assert before.decided
    assert before.labels_used < drawn(asked).size
    assert before.p_values[0] is not None
    assert before.p_values[0] <= 0.1


def test_a_hopeless_question_is_given_up_when_even_full_scores_could_not_pass() -> None:
    agree, score = rows(800, 2, (0.7, 0.3))
    asked = question(agree, np.full(800, 0.6), 0.9, 0.4, 2)
    known = np.zeros(800, dtype=bool)
    while (wanted := next_rows(asked, Scored(known, score), 20).rows).size:
        known[wanted] = True
    found = standing(asked, Scored(known, score))
    assert (found.certified, found.possible) == (None, None)
    assert known.sum() < drawn(asked).size


def test_a_path_is_tested_in_order_on_the_rows_that_count_for_each_policy() -> None:
    rng = np.random.default_rng(0)
    rank = rng.random(2000)
    kept = np.vstack([rank < share for share in (0.3, 0.6, 1.0)])
    score = (rng.random(2000) < np.where(rank < 0.6, 0.99, 0.5)).astype(float)
    guess = np.broadcast_to(np.where(rank < 0.6, 0.95, 0.6), kept.shape)
    asked = WeightedQuestion(kept, guess, np.full(2000, 0.6), 0.9, 0.1, 0, seed=3)
    found = standing(asked, Scored(np.ones(2000, dtype=bool), score))
    assert found.certified == 1
    assert found.decided
    assert found.rows_read == 2000


def test_rows_left_open_are_drawn_more_often_and_the_share_is_kept() -> None:
    guess = np.repeat([0.99, 0.5], [800, 200])
    chance = inclusion(guess, 0.4)
    assert chance.mean() == pytest.approx(0.4)
    assert chance[-1] > 2 * chance[0]
    assert chance[0] >= 0.25
    assert inclusion(guess, 1.0).min() == pytest.approx(1.0)


def test_a_wrong_argument_of_a_weighted_question_is_named() -> None:
    kept = np.ones((1, 3), dtype=bool)
    with pytest.raises(StepdownError, match="inclusion"):
        WeightedQuestion(kept, kept * 0.5, np.full(3, 0.1), 0.9, 0.1, 0)
    with pytest.raises(StepdownError, match="expected"):
        WeightedQuestion(kept, kept[:, :2] * 0.5, np.ones(3), 0.9, 0.1, 0)
    with pytest.raises(StepdownError, match="share"):
        inclusion([0.5], 0.1)
