"""Labels for disagreements alone: any order is valid, and stopping changes no verdict."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from stepdown.errors import StepdownError
from stepdown.stats.labelling import Question, Standing, certified, decided, next_rows, standing
from stepdown.stats.labels import Labels, no_labels
from stepdown.stats.noninferiority import certify_path, worst_case_differences

Population = tuple[Question, np.ndarray]


def population(
    draw: int, n: int = 400, epsilon: float = 0.04, start: int = 3, **how: object
) -> Population:
    """Eight nested policies; a row is kept from its rank on, and lost more often the later."""
    rng = np.random.default_rng([draw, n])
    rank = rng.random(n)
    keeps = rank[None, :] < np.arange(8)[:, None] / 8
    differs = rng.random(n) < 0.1 + 0.4 * rank
    truth = rng.choice([-1.0, 0.0, 1.0], n, p=[0.4, 0.4, 0.2])
    agree = ~(keeps & differs)
    return Question(agree, epsilon, 0.1, start, **how), truth  # type: ignore[arg-type]


def full_verdict(question: Question, truth: np.ndarray) -> int:
    """The policy that `certify_path` chooses when every disagreement is labelled."""
    known = np.ones_like(question.agree)
    told = np.broadcast_to(truth, question.agree.shape)
    return certify_path(
        worst_case_differences(question.agree, known, told),
        question.epsilon,
        question.delta,
        question.start,
        question.groups,
        scores=question.scores,
        seed=question.seed,
        second_start=question.second_start,
    ).chosen


def labelled(question: Question, truth: np.ndarray, batch: int = 7) -> tuple[int, int]:
    """Label what is asked for until nothing is: the verdict and the number of labels."""
    labels = Labels(no_labels(question.n).known, truth)
    while (rows := next_rows(question, labels, batch).rows).size:
        assert not labels.known[rows].any()
        assert not question.agree[:, rows].all(axis=0).any()  # no row that all agree on
        known = labels.known.copy()
        known[rows] = True
        labels = Labels(known, truth)
    verdict = decided(question, labels)
    assert verdict is not None
    return verdict, labels.used


@pytest.mark.parametrize("seed", range(12))
def test_the_verdict_is_that_of_all_labels(seed: int) -> None:
    question, truth = population(seed, epsilon=[0.02, 0.04, 0.07][seed % 3], start=1 + seed % 7)
    verdict, used = labelled(question, truth)
    assert verdict == full_verdict(question, truth)
    assert used <= (~question.agree[-1]).sum()


def test_the_verdict_is_that_of_all_labels_for_graded_scores_and_for_groups() -> None:
    for seed in range(4):
        groups = np.arange(400) // 2 if seed % 2 else None
        question, truth = population(seed, scores="graded", groups=groups, epsilon=0.1, seed=seed)
        assert labelled(question, truth * 0.6, 20)[0] == full_verdict(question, truth * 0.6)


def test_policies_may_deliver_different_answers_and_need_not_be_nested() -> None:
    rng = np.random.default_rng(3)
    agree = rng.random((5, 300)) < 0.85
    agree[0] = True
    truth = rng.choice([-1.0, 0.0, 1.0], (5, 300), p=[0.2, 0.5, 0.3])
    question = Question(agree, 0.03, 0.1, 4)
    assert labelled(question, truth)[0] == full_verdict(question, truth)


def test_at_no_moment_and_in_no_order_is_more_certified_than_with_all_labels() -> None:
    for seed in range(6):
        question, truth = population(seed)
        full = full_verdict(question, truth)
        favourable = np.argsort(-truth, kind="stable")  # an order that has seen the truth
        before = 0
        for count in range(0, 401, 50):
            known = np.zeros(400, dtype=bool)
            known[favourable[:count]] = True
            now = certified(question, Labels(known, truth))
            assert before <= now <= full
            before = now
        assert before == full


def test_most_labels_are_not_needed_and_the_order_saves_many() -> None:
    asked, of_all, in_random_order = [], [], []
    for seed in range(4):
        question, truth = population(seed, 700)
        asked.append(labelled(question, truth, 5)[1])
        of_all.append((~question.agree[-1]).sum())
        in_random_order.append(labels_in_random_order(question, truth, seed))
    assert np.median(asked) < 0.85 * np.median(of_all)
    assert np.mean(asked) < 0.9 * np.mean(in_random_order)


def labels_in_random_order(question: Question, truth: np.ndarray, seed: int) -> int:
    differs = np.flatnonzero(~question.agree[-1])
    order = np.random.default_rng(seed).permutation(differs)
    known = np.zeros(question.n, dtype=bool)
    for first in range(0, order.size, 5):
        if decided(question, Labels(known, truth)) is not None:
            break
        known[order[first : first + 5]] = True
    return int(known.sum())


def test_giving_up_when_ties_cannot_save_a_policy_stops_sooner_and_never_certifies_more() -> None:
    fewer = 0
    for seed in range(8):
        exact, truth = population(seed)
        hasty, _ = population(seed, best_case="no_loss")
        (verdict, used), (early, early_used) = labelled(exact, truth), labelled(hasty, truth)
        assert early <= verdict
        fewer += used - early_used
    assert fewer > 0


def test_no_label_is_asked_for_when_answers_nearly_always_agree() -> None:
    agree = np.ones((3, 500), dtype=bool)
    agree[1:, :8] = False
    question = Question(agree, 0.05, 0.1, 2)
    wanted = next_rows(question, no_labels(500), 5)
    assert wanted.rows.size == 0
    assert wanted.reason == "decided: policy 2"
    found = standing(question, no_labels(500))
    assert (found.certified, found.labels_used, found.labels_left_at_most) == (2, 0, 0)
    assert found.bound_worst <= 0.05


def test_the_bound_tightens_with_labels_and_at_most_those_left_are_needed() -> None:
    question, truth = population(1)
    labels = Labels(no_labels(400).known, truth)
    found: list[Standing] = [standing(question, labels)]
    left = found[0].labels_left_at_most
    assert not found[0].decided
    assert found[0].bound_best <= found[0].bound_worst
    assert found[0].best_p <= found[0].worst_p
    assert labelled(question, truth)[1] <= left
    known = np.zeros(400, dtype=bool)
    known[(~question.agree[found[0].possible])] = True
    done = standing(question, Labels(known, truth))
    assert done.decided
    assert done.labels_left_at_most == 0


def test_the_standing_quotes_the_test_that_certifies() -> None:
    question, truth = population(2)
    known = np.random.default_rng(0).random(400) < 0.6
    found = standing(question, Labels(known, truth))
    table = worst_case_differences(
        question.agree,
        np.broadcast_to(known, question.agree.shape),
        np.broadcast_to(truth, question.agree.shape),
    )
    certificate = certify_path(table, 0.04, 0.1, 3, scores="binary")
    assert found.certified == certificate.chosen
    quoted = certificate.policies[max(found.possible, 1)]
    if quoted.p_value is not None:
        assert found.worst_p == quoted.p_value
        assert found.bound_worst == quoted.loss_bound


def test_a_chance_from_other_rows_is_asked_first() -> None:
    question, truth = population(4)
    sure = np.where(truth < 0, 0.95, 0.05)
    knowing = Question(question.agree, 0.04, 0.1, 3, loss_chance=sure)
    assert labelled(knowing, truth)[0] == full_verdict(question, truth)
    assert labelled(knowing, truth, 3)[1] <= labelled(question, truth, 3)[1]


def violations(n: int, trials: int, counted: Callable[[np.ndarray], np.ndarray]) -> int:
    """Certificates of a policy that loses exactly epsilon, when labels come in the best order.

    The labeller knows the truth, labels what helps first, and stops as soon as it passes.
    """
    bad = 0
    for trial in range(trials):
        rng = np.random.default_rng([n, trial])
        truth = rng.choice([-1.0, 1.0, 0.0], n, p=[0.10, 0.04, 0.86])
        agree = np.vstack([np.ones(n, bool), (truth == 0.0) & (rng.random(n) < 0.9)])
        order = np.argsort(-truth, kind="stable")
        order = order[~agree[1][order]]
        for count in range(0, order.size + 1, 4):
            known = np.zeros(n, dtype=bool)
            known[order[:count]] = True
            rows = counted(known | agree[1])
            kept = Question(agree[:, rows], 0.06, 0.1, 1)
            if certified(kept, Labels(known[rows], truth[rows])):
                bad += 1
                break
    return bad


def test_peeking_with_the_truth_in_hand_breaks_the_promise_no_more_often_than_delta() -> None:
    bad = violations(150, 300, np.ones_like)
    assert stats.binomtest(bad, 300, 0.1, alternative="greater").pvalue > 0.01


def test_leaving_unlabelled_rows_out_is_caught_by_this_very_judge() -> None:
    bad = violations(150, 40, lambda known: known)
    assert stats.binomtest(bad, 40, 0.1, alternative="greater").pvalue < 0.01


def test_a_wrong_argument_of_a_labelling_question_is_named() -> None:
    with pytest.raises(StepdownError, match="agree"):
        Question(np.zeros((2, 3), dtype=bool), 0.1, 0.1, 1)
    with pytest.raises(StepdownError, match="agree"):
        Question(np.ones(3, dtype=bool), 0.1, 0.1, 1)
    with pytest.raises(StepdownError, match="loss_chance"):
        Question(np.ones((2, 3), dtype=bool), 0.1, 0.1, 1, loss_chance=np.zeros(2))
