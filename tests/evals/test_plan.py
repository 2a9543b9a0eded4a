"""The plan of an eval: by the test that is run, from rates that make sense."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stepdown.errors import InputError
from stepdown.evals.decision import Evidence, Question, decide_on
from stepdown.evals.plan import Rates, assumed_rates, needed, seen_rates, tied


def question(**more: float | None) -> Question:
    asked = {"max_loss": 0.05, "delta": 0.1, "floor": None, **more}
    return Question(binary=True, seed=1, **asked)  # type: ignore[arg-type]


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_assumed_rates_give_back_what_was_assumed_or_are_refused(
    score: float, ceiling: float, discordance: float
) -> None:
    try:
        rates = assumed_rates(score, ceiling, discordance)
    except InputError:
        return
    assert rates.discordance == pytest.approx(discordance, abs=1e-6)
    assert rates.loss == pytest.approx(ceiling - score, abs=1e-6)
    assert min(rates.minus, rates.plus) >= 0
    assert rates.minus <= min(ceiling, 1 - score) + 1e-6


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ((0.9, 0.95, 0.01), "differ on 0.05 of the rows at least"),
        ((0.9, 0.9, 0.5), "0.2 at most"),
        ((1.5, 0.9, 0.1), "--score 1.5 is not a share"),
    ],
)
def test_rates_that_contradict_each_other_are_refused_with_what_can_be(
    rates: tuple[float, float, float], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        assumed_rates(*rates)


def test_fewer_rows_do_when_more_may_be_lost_and_more_are_needed_for_more_tiers() -> None:
    rates = assumed_rates(0.9, 0.9, 0.1)
    rows = [needed(rates, question(max_loss=e), 1, None).rows for e in (0.1, 0.05, 0.03)]
    assert None not in rows
    assert rows == sorted(rows, key=lambda n: n or 0)
    more = needed(rates, question(), 3, None).rows
    assert (more or 0) > (rows[1] or 0)


def test_a_tier_that_loses_what_is_allowed_is_hopeless_and_says_why() -> None:
    found = needed(assumed_rates(0.85, 0.9, 0.1), question(), 1, 400)
    assert found.rows is None
    assert "0.050, and 0.05 is allowed" in found.why
    assert (found.today or 0) < 0.11


def test_a_floor_near_the_score_needs_more_rows_than_the_loss_alone() -> None:
    rates = assumed_rates(0.9, 0.9, 0.1)
    alone, floored = (needed(rates, question(floor=f), 1, 500) for f in (None, 0.88))
    assert (floored.rows or 0) > (alone.rows or 0)
    assert (floored.today or 0) < (alone.today or 0)


def test_rows_in_groups_count_for_less() -> None:
    alone = Rates(minus=0.05, plus=0.05, score=0.9, ceiling=0.9)
    bound_up = Rates(minus=0.05, plus=0.05, score=0.9, ceiling=0.9, effect=3.0, grouped=True)
    free, bound = (needed(r, question(max_loss=0.1), 1, 300) for r in (alone, bound_up))
    assert (bound.rows or 0) > 2.5 * (free.rows or 0)
    assert bound.test == "betting"


def test_assumed_rates_of_rows_in_groups_take_the_groups_for_all_alike() -> None:
    alone = assumed_rates(0.9, 0.9, 0.1)
    assert tied(alone, ["a", "b", None, None]) == alone
    found = tied(alone, ["a"] * 4 + ["b"] * 2 + [None] * 2)
    assert (found.effect, found.grouped) == (pytest.approx((16 + 4 + 2) / 8), True)
    one_group = needed(tied(alone, ["a"] * 300), question(), 1, 300)
    assert (one_group.today or 0.0) < 0.05, "300 rows of one group decide nothing"
    assert one_group.rows is None
    assert "one group" in one_group.why


def test_a_pilot_of_a_single_group_plans_nothing() -> None:
    scores = [1.0] * 40
    rates = seen_rates(Evidence(tier="s", scores=scores, ceiling=scores, groups=["a"] * 40))
    found = needed(rates, question(), 1, 40)
    assert (rates.effect, found.rows, found.power) == (None, None, 0.0)
    assert "one group" in found.why


def test_rows_in_groups_are_planned_by_the_test_that_eval_runs_on_groups() -> None:
    scores = [1.0] * 30 + [0.0] * 2
    rates = seen_rates(
        Evidence(tier="s", scores=scores, ceiling=scores, groups=["a", "a", *map(str, range(30))])
    )
    assert rates.effect == 1.0
    assert needed(rates, question(), 1, 32).test == "betting"


def test_seen_rates_leave_room_for_a_loss_that_was_not_seen() -> None:
    rates = seen_rates(Evidence(tier="small", scores=[1.0] * 50, ceiling=[1.0] * 50))
    assert (rates.minus, rates.plus, rates.n) == (pytest.approx(0.5 / 51), 0.0, 50)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [0.0, 0.02])
def test_so_many_rows_let_the_decision_pass_as_often_as_the_plan_says(loss: float) -> None:
    asked, rates = question(max_loss=0.1), assumed_rates(0.9 - loss, 0.9, 0.1)
    n = needed(rates, asked, 1, None).rows
    assert n is not None
    rng, trials = np.random.default_rng(5), 100
    passed = 0
    for _ in range(trials):
        u = rng.random(n)
        minus, plus = u < rates.minus, (u >= rates.minus) & (u < rates.minus + rates.plus)
        both = rng.random(n) < (0.9 - rates.minus) / (1 - rates.discordance)
        ceiling = np.where(minus, 1.0, np.where(plus, 0.0, both))
        score = np.where(minus, 0.0, np.where(plus, 1.0, both))
        evidence = Evidence(tier="small", scores=score.tolist(), ceiling=ceiling.tolist())
        passed += decide_on([evidence], "big", asked).chosen == "small"
    assert stats.binomtest(passed, trials, 0.8, alternative="less").pvalue > 0.001, passed / trials
    assert stats.binomtest(passed, trials, 0.9, alternative="greater").pvalue > 0.001
