"""How many rows and labels a promise will need, by the test that will be run."""

import numpy as np
import pytest

from stepdown.errors import StepdownError
from stepdown.stats import planning, power
from stepdown.stats.bounds import accuracy_p_value
from stepdown.stats.rehearsal import from_pilot, from_rates, simulate_path

RATES = (0.6, 0.15, 0.012, 0.008)  # kept, and of the kept: disagree, loss, gain


def test_a_plan_for_max_loss_labels_only_disagreements() -> None:
    plan = planning.plan_max_loss(*RATES, 0.02, 0.085)
    assert plan.rows is not None
    assert plan.labels == pytest.approx(plan.rows * 0.6 * 0.15, abs=1)
    assert plan.rows == power.labels_needed(0.6 * 0.012, 0.6 * 0.008, 0.02, 0.085).rows
    assert plan.power >= 0.8


def test_a_rehearsal_of_the_very_test_reaches_the_power_that_was_planned() -> None:
    plan = planning.plan_max_loss(*RATES, 0.02, 0.1)
    assert plan.rows is not None
    found = simulate_path(from_rates(*RATES), plan.rows, 0.02, 0.1, 1, trials=80)
    assert found.low <= plan.power + 0.02
    assert found.high >= plan.power - 0.02
    assert plan.labels is not None
    assert 0 < found.labels_median <= plan.labels + 10
    assert found.labels_median <= found.labels_high


def test_agreement_needs_rows_and_no_labels() -> None:
    agree = planning.plan_min_agreement(0.6, 0.97, 0.95, 0.1)
    limit = planning.plan_max_disagreement(0.6, 0.02, 0.02, 0.1)
    assert agree.labels == limit.labels == 0
    assert agree.rows is not None
    assert limit.rows is not None
    assert agree.rows >= power.labels_needed_kept(0.97, 0.95, 0.1).rows / 0.6  # type: ignore[operator]


def test_scores_of_kept_answers_need_labels_of_the_kept_alone_and_a_floor_of_all() -> None:
    kept = planning.plan_min_score(0.5, 0.95, 0.9, 0.1)
    floor = planning.plan_floor(0.95, 0.9, 0.1)
    assert kept.rows is not None
    assert kept.labels == floor.labels == floor.rows
    assert kept.rows == 2 * (floor.rows or 0)


def test_recall_of_a_rare_label_needs_many_rows() -> None:
    plan = planning.plan_recall(0.02, 0.998, 0.99, 0.1)
    assert plan.rows is not None
    positives = round(plan.rows * 0.02)
    assert plan.labels == plan.rows
    assert accuracy_p_value(positives, positives, 0.99) <= 0.1
    assert plan.rows >= 230 / 0.02


def test_a_promise_that_the_rates_break_is_planned_as_impossible() -> None:
    assert planning.plan_min_score(0.5, 0.89, 0.9, 0.1).rows is None
    assert planning.plan_max_loss(0.6, 0.15, 0.08, 0.0, 0.02, 0.1, cap=2000).labels is None
    never_kept = planning.plan_min_score(0.0, 0.99, 0.9, 0.1)
    assert (never_kept.rows, never_kept.power) == (None, 0.0)


def test_a_pilot_is_drawn_again_for_graded_scores() -> None:
    rng = np.random.default_rng(0)
    agree = np.vstack([np.ones(200, bool), rng.random(200) < 0.8])
    difference = np.where(agree, 0.0, rng.uniform(-0.3, 0.3, 200))
    draw = from_pilot(agree, difference)
    few = simulate_path(draw, 60, 0.05, 0.1, 1, scores="graded", trials=20)
    many = simulate_path(draw, 400, 0.05, 0.1, 1, scores="graded", trials=20)
    assert few.power < many.power
    assert many.power > 0.8
    assert few == simulate_path(draw, 60, 0.05, 0.1, 1, scores="graded", trials=20)


def test_a_wrong_rate_is_named() -> None:
    with pytest.raises(StepdownError, match="kept"):
        planning.plan_min_score(1.2, 0.95, 0.9, 0.1)
    with pytest.raises(StepdownError, match="disagreements"):
        planning.plan_max_loss(0.5, 0.1, 0.08, 0.08, 0.02, 0.1)
    with pytest.raises(StepdownError, match="pilot"):
        from_pilot(np.ones((2, 3), bool), np.zeros((2, 4)))
