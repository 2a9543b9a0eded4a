"""A path of policies tested against the ceiling: shares of delta, kinds of rows, edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepdown.errors import StepdownError
from stepdown.stats import bounds, noninferiority, paired_exact
from stepdown.stats.noninferiority import (
    certify_path,
    certify_path_counts,
    worst_case_differences,
)


def path(n: int = 800, losses: tuple[float, ...] = (0.0, 0.0, 0.005, 0.03, 0.12)) -> np.ndarray:
    """One row per policy; a policy's losses are among the losses of the next cheaper one."""
    draw = np.random.default_rng(0).random(n)
    return np.array([np.where(draw < loss, -1.0, 0.0) for loss in losses])


def test_the_cheapest_policy_of_an_unbroken_run_is_chosen() -> None:
    found = certify_path(path(), 0.05, 0.1, start=2, scores="binary")
    assert found.chosen == 3
    assert found.certified
    assert [p.passed for p in found.policies] == [True, True, True, True, False]
    assert found.loss_bound is not None
    assert 0.03 < found.loss_bound <= 0.05
    assert "likelihood-ratio" in found.method


def test_a_start_that_fails_falls_back_to_a_safer_one_with_its_share() -> None:
    found = certify_path(path(), 0.05, 0.1, start=4, scores="binary")
    assert found.starts == ((2, pytest.approx(0.015)), (4, pytest.approx(0.085)))
    assert found.chosen in {2, 3}
    assert found.policies[4].allowed == pytest.approx(0.1 if found.chosen == 3 else 0.085)
    assert not found.policies[4].passed
    assert found.policies[1].p_value is None  # nothing was spent there
    assert found.policies[1].loss_bound is None


def test_without_room_for_a_second_start_the_first_has_all() -> None:
    for start in (0, 1):
        assert certify_path(path(), 0.05, 0.1, start).starts == ((1, 0.1),)
    given_one = certify_path(path(), 0.05, 0.1, 3, second_start=1).starts
    assert dict(given_one) == {1: pytest.approx(0.015), 3: pytest.approx(0.085)}
    assert certify_path(path(), 0.05, 0.1, 3, second_start=0).starts == ((3, 0.1),)


def test_nothing_certified_is_the_ceiling() -> None:
    found = certify_path(path(losses=(0, 0.2, 0.3)), 0.02, 0.1, 2, scores="binary")
    assert found.chosen == 0
    assert not found.certified
    assert found.loss_bound == 0.0
    assert found.p_values[0] is None


def test_counts_give_what_rows_give() -> None:
    table = path()
    rows = certify_path(table, 0.05, 0.1, 2, scores="binary")
    counts = certify_path_counts(
        (table == -1).sum(axis=1), (table == 1).sum(axis=1), 800, 0.05, 0.1, 2
    )
    assert rows == counts


def test_each_kind_of_row_has_its_test() -> None:
    table = path(300)
    graded = certify_path(table * 0.7, 0.1, 0.1, 2)
    assert "seeded order" in graded.method
    groups = np.repeat(np.arange(100), 3)
    grouped = certify_path(table, 0.1, 0.1, 2, groups)
    assert "group sums" in grouped.method
    assert grouped.n_groups == 100
    assert "sizes" in grouped.assumptions
    alone = certify_path(table, 0.1, 0.1, 2, np.arange(300), scores="binary")
    assert alone == certify_path(table, 0.1, 0.1, 2, scores="binary")
    for found in (graded, grouped):
        for policy in found.policies[1:]:
            if policy.passed:
                assert policy.loss_bound is not None
                assert policy.loss_bound <= 0.1 + 1e-6


def test_copied_rows_pass_as_rows_but_not_as_groups() -> None:
    """Ten copies of 30 rows: 300 rows, and the evidence of 30."""
    table = np.repeat(path(30, (0.0, 0.0)), 10, axis=1)
    groups = np.repeat(np.arange(30), 10)
    assert certify_path(table, 0.03, 0.1, 1, scores="binary").chosen == 1
    assert certify_path(table, 0.03, 0.1, 1, groups, scores="binary").chosen == 0


def test_a_promise_per_group_tests_one_row_of_each_and_says_so() -> None:
    table, groups = path(600), np.repeat(np.arange(200), 3)
    found = certify_path(table, 0.05, 0.1, 2, groups, scores="binary", seed=5, per="group")
    assert found.n == 200
    assert "per group" in found.assumptions
    rows = noninferiority.one_row_per_group(groups, 600, 5)
    assert sorted(groups[rows]) == list(range(200))
    drawn = certify_path(table[:, rows], 0.05, 0.1, 2, scores="binary")
    assert found.p_values == drawn.p_values
    assert set(rows % 3) == {0, 1, 2}  # not always the first of its group


def test_beyond_the_limit_of_the_exact_test_counts_are_bet_on() -> None:
    n = noninferiority.EXACT_ROWS + 1
    found = certify_path_counts([0, 20], [0, 20], n, 0.02, 0.1, 1)
    assert "betting" in found.method
    assert found.chosen == 1
    by_hand = bounds.difference_log_evalue_counts(20, n - 40, 20, 0.02)
    assert found.p_values[1] == pytest.approx(float(np.exp(-by_hand)))


def test_binary_must_not_be_declared_for_graded_rows() -> None:
    with pytest.raises(StepdownError, match="graded"):
        certify_path([[0.0, 0.0], [0.5, 0.0]], 0.05, 0.1, 1, scores="binary")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"epsilon": 0.0}, "epsilon"),
        ({"delta": 1.0}, "delta"),
        ({"start": 5}, "start"),
        ({"start": -1}, "start"),
        ({"second_start": 4}, "second_start"),
        ({"differences": [[0.0]]}, "at least one policy"),
        ({"differences": [0.0]}, "shape"),
        ({"differences": [[0.0], [np.nan]]}, "outside"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, object], word: str) -> None:
    right = {"differences": path(), "epsilon": 0.05, "delta": 0.1, "start": 3}
    with pytest.raises(StepdownError, match=word):
        certify_path(**{**right, **arguments})  # type: ignore[arg-type]


def test_no_rows_certify_nothing() -> None:
    for scores in ("binary", "graded"):
        found = certify_path(np.zeros((3, 0)), 0.05, 0.1, 1, scores=scores)
        assert found.chosen == 0
        assert found.policies[1].loss_bound == 1.0


def test_an_unlabelled_disagreement_is_a_full_loss_and_equal_answers_none() -> None:
    found = worst_case_differences(
        [True, True, False, False, False],
        [True, False, True, True, False],
        [0.3, np.nan, 1.0, -0.5, np.nan],
    )
    assert found.tolist() == [0.0, 0.0, 1.0, -0.5, -1.0]
    with pytest.raises(StepdownError, match="shapes"):
        worst_case_differences([True], [True, False], [0.0])
    with pytest.raises(StepdownError, match="outside"):
        worst_case_differences([False], [True], [np.nan])


def test_zero_labels_already_give_a_valid_bound() -> None:
    agree = np.arange(500) >= 10
    rows = worst_case_differences(agree, np.zeros(500, bool), np.full(500, np.nan))
    found = certify_path(np.vstack([np.zeros(500), rows]), 0.05, 0.1, 1, scores="binary")
    assert found.chosen == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_another_label_never_raises_the_bound(seed: int, binary: bool) -> None:
    rng = np.random.default_rng(seed)
    agree = rng.random(150) < 0.8
    truth = rng.choice([-1.0, 0.0, 1.0], 150) * (1.0 if binary else 0.5)
    known = rng.random(150) < 0.5
    more = known | (rng.random(150) < 0.3)
    before, after = (worst_case_differences(agree, k, truth) for k in (known, more))
    assert np.all(after >= before)
    for rows, labels in ((before, known), (after, more)):
        assert labels.sum() <= 150
        assert np.all(rows <= np.where(agree, 0.0, truth))
    if binary:
        p = [
            paired_exact.p_value(int((r == -1).sum()), int((r == 1).sum()), 150, 0.05)
            for r in (before, after)
        ]
        assert p[1] <= p[0] * 1.03 + 0.001
    else:
        order = [bounds.upper_bound_loss(r, 0.1, anytime=True) for r in (before, after)]
        assert order[1] <= order[0] + 1e-6
