"""Forecasts: the rates of tune rows, and the exact sums that they go into."""

from __future__ import annotations

import pytest
from labelled import TASK, Labelled

from stepdown.certify.forecast import SHOWN, Rates, chance_today, forecast, rates_of, recalls, shown
from stepdown.certify.promises import measures
from stepdown.certify.search import searched
from stepdown.core.policy import single
from stepdown.core.task import Promise
from stepdown.errors import StepdownError
from stepdown.stats import planning
from stepdown.stats.sequence import FIRST_SHARE

RATES = Rates(kept=0.6, disagree=0.1, loss=0.01, gain=0.02, score=0.95, delivered=0.96, n=100)
WHAT_IF = Rates(kept=0.6, disagree=0.1, loss=0.01, gain=0.01, score=0.9, delivered=0.9)
TABLE = Labelled({"small": {"": 0.8}, "big": {"": 0.95}}).draw(400, [1], "t")


def test_rates_are_counted_on_the_tune_rows() -> None:
    rates = rates_of(searched(TABLE, single("small")), TABLE, "big")
    gap = TABLE.score["small"] - TABLE.score["big"]
    assert rates.kept == 1
    assert rates.loss == pytest.approx((gap < 0).mean())
    assert rates.gain == pytest.approx((gap > 0).mean())
    assert rates.disagree == pytest.approx((TABLE.answers["small"] != TABLE.answers["big"]).mean())
    assert rates.score == rates.delivered == pytest.approx(TABLE.score["small"].mean())


def test_the_ceiling_alone_keeps_and_loses_nothing() -> None:
    rates = rates_of(searched(TABLE, single("big")), TABLE, "big")
    assert (rates.kept, rates.disagree, rates.loss, rates.gain) == (0, 0, 0, 0)


def test_one_more_loss_is_one_more_kept_answer_that_is_wrong() -> None:
    more = RATES.with_one_more_loss()
    assert more.loss == pytest.approx((0.01 * 60 + 1) / 61)
    assert more.gain == pytest.approx(0.02 * 60 / 61)
    assert more.score == pytest.approx(0.95 * 60 / 61)
    assert more.loss + more.gain <= more.disagree


def test_few_rows_without_a_loss_promise_less_with_one_more() -> None:
    clean = Rates(kept=1, disagree=0, loss=0, gain=0, score=1, delivered=1, n=30)
    found = forecast(Promise(max_loss=0.05), "gold", 0.1, clean, 100)
    assert found.plan.rows is not None
    assert found.careful is not None
    assert found.careful.rows is None or found.careful.rows > 2 * found.plan.rows


def test_a_question_of_what_if_has_no_rows_to_be_careful_about() -> None:
    found = forecast(Promise(), "gold", 0.1, WHAT_IF, None)
    assert (found.careful, found.today) == (None, None)


@pytest.mark.parametrize(
    "main", ["max_loss", "floor", "min_score", "min_agreement", "max_disagreement"]
)
def test_the_chance_today_grows_with_rows_up_to_what_was_planned(main: str) -> None:
    limits = {"floor": 0.93, "min_score": 0.9, "min_agreement": 0.85, "max_disagreement": 0.1}
    promise = Promise(**{main: limits.get(main, 0.03)})
    limit = promise.limit()
    found = forecast(promise, "gold", 0.1, RATES, 20)
    assert found.plan.rows is not None
    at_plan = chance_today(main, limit, 0.1 * FIRST_SHARE, RATES, found.plan.rows)
    assert found.today is not None
    assert found.today < at_plan
    assert at_plan > 0.75


def test_recall_is_planned_by_how_often_the_label_occurs_with_one_more_miss() -> None:
    promise = Promise(max_loss=0.1, recall={"x": 0.5})
    task = type(TASK)(name="t", kind="classify", tiers=TASK.tiers, promise=promise)
    promises = measures(task, TABLE, "gold", binary=True)
    found = recalls(searched(TABLE, single("small")), TABLE, promises, 0.1)
    positives = [truth == "x" for truth in TABLE.truths]
    n, hits = sum(positives), int(TABLE.score["small"][positives].sum())
    expected = planning.plan_recall(n / 400, hits / (n + 1), 0.5, 0.1 * FIRST_SHARE)
    assert found == {"recall:x": expected}


def test_a_table_of_error_costs_is_not_forecast_and_says_where_to_look() -> None:
    promise = Promise(max_error_cost=1.0, error_costs={"a": {"b": 5.0}})
    with pytest.raises(StepdownError, match="cannot be forecast"):
        forecast(promise, "gold", 0.1, RATES, None)


def test_a_long_path_is_shown_from_end_to_end() -> None:
    along = [searched(TABLE, single("small"))] * 50
    assert len(shown(along)) == SHOWN
    assert len(shown(along[:3])) == 2
