"""Odd and broken rows: each is refused or counted by a rule, with a message that names it."""

from typing import Any

import msgspec
import numpy as np
import pytest
from labelled import TASK, even, on, promised
from populations import World, flat
from populations import certified as certified_on

from stepdown.certify.checks import effective_rows
from stepdown.core.outcome import Outcome
from stepdown.core.replay_array import Panel
from stepdown.core.task import Promise
from stepdown.errors import DataError

WORLD = even(0.97, 0.9)
FLOOR = Promise(floor=0.8)
TUNE = WORLD.draw(60, [1], "t")
ROWS = WORLD.draw(200, [2], "c")


def with_column(column: str, tier: str, values: Any, table: Panel = ROWS) -> Panel:
    return msgspec.structs.replace(table, **{column: getattr(table, column) | {tier: values}})


def with_first(column: str, tier: str, value: float) -> Panel:
    values = getattr(ROWS, column)[tier].copy()
    values[0] = value
    return with_column(column, tier, values)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("score", 1.2, "the score of 'small' for 'c0' is 1.2; it must lie in 0..1"),
        ("score", -0.1, "the score of 'small' for 'c0' is -0.1"),
        ("score", np.inf, "the score of 'small' for 'c0' is inf"),
        ("cost_usd", -1.0, "the cost of 'small' for 'c0' is -1; it must lie in 0 and more"),
        ("latency_s", np.inf, "the latency of 'small' for 'c0' is inf"),
    ],
)
def test_a_number_outside_its_range_is_refused_by_row(
    column: str, value: float, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        on(TUNE, with_first(column, "small", value), FLOOR)


def test_a_score_that_is_not_a_number_is_refused_in_an_outcome() -> None:
    with pytest.raises(ValueError, match="score nan is outside"):
        Outcome(query_id="a", tier="small", score=float("nan"))


def test_a_score_that_is_not_a_number_is_unknown_in_a_panel_and_counts_as_wrong() -> None:
    done = on(TUNE, with_first("score", "small", np.nan), FLOOR)
    assert any("1 answers of 'small' have no score" in said for said in done.warnings)


def test_a_query_twice_in_a_panel_is_refused() -> None:
    twice = ROWS.take(np.array([*range(200), 7]))
    with pytest.raises(DataError, match="hold the query 'c7' 2 times"):
        on(TUNE, twice, FLOOR)


def test_two_outcomes_of_one_tier_for_one_query_are_refused() -> None:
    rows = World(right={"small": flat(0.9), "big": flat(0.9)}).draw(20, [1], "c")
    with pytest.raises(DataError, match="query 'c0' has two outcomes of 'small'"):
        certified_on(rows[:0], [*rows, rows[0]])


def test_rows_that_chose_may_not_test() -> None:
    with pytest.raises(DataError, match="60 queries are among the tune and the certify rows"):
        on(TUNE, TUNE, FLOOR)


def test_a_group_may_not_lie_on_both_sides() -> None:
    tune = msgspec.structs.replace(TUNE, groups=["same"] * 60)
    rows = msgspec.structs.replace(ROWS, groups=["same"] * 200)
    with pytest.raises(DataError, match="1 groups have rows among the tune and the certify rows"):
        on(tune, rows, FLOOR)


@pytest.mark.parametrize("part", ["tune", "certify"])
def test_no_rows_are_refused_with_what_to_check(part: str) -> None:
    none = ROWS.take(np.arange(0))
    with pytest.raises(DataError, match=f"There are no {part} rows") as caught:
        on(*((none, ROWS) if part == "tune" else (TUNE, none)), FLOOR)
    assert "data.shares" in caught.value.hint


def test_an_empty_file_of_outcomes_is_refused() -> None:
    with pytest.raises(DataError, match="There are no certify rows"):
        certified_on([], [])


def test_a_tier_that_misses_queries_is_counted() -> None:
    up = np.arange(200) >= 50
    done = on(TUNE, with_column("available", "small", up), FLOOR)
    assert any("no answer for 50 of 200 certify rows" in said for said in done.warnings)
    assert done.locked.kept["big"] == 0.25


def test_a_tier_without_any_certify_rows_is_named() -> None:
    three = msgspec.structs.replace(TASK, tiers=("small", "middle", "big"))
    done = on(TUNE, ROWS, FLOOR, task=three)
    assert any("'middle' has no certify rows" in said for said in done.warnings)


def test_a_constant_signal_is_named() -> None:
    same = {"small.label_prob": np.full(60, 0.5)}
    tune = msgspec.structs.replace(TUNE, signals=same)
    done = on(tune, ROWS, FLOOR)
    assert any("keeps all or nothing" in said for said in done.warnings)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_tiers_that_are_all_wrong_or_all_right_get_an_answer(right: float) -> None:
    done = promised(even(right, right), FLOOR, 100)
    assert done.state == ("certified" if right else "ceiling")


def test_twenty_rows_are_said_to_decide_little() -> None:
    done = promised(even(0.97, 0.9), Promise(floor=0.95), 20)
    assert done.state == "ceiling"
    assert any("Only 20 certify rows" in said for said in done.warnings)


@pytest.mark.parametrize("clustered", [False, True])
def test_a_group_with_half_of_the_rows_is_said_to_do_the_work_of_few(clustered: bool) -> None:
    groups = ["whale" if i < 100 else None for i in range(200)]
    rows = msgspec.structs.replace(ROWS, groups=groups)
    done = on(TUNE, rows, FLOOR, clustered=clustered)
    assert any(
        "'whale', holds 50% of the certify rows: 200 rows may do the work of about 4" in said
        for said in done.warnings
    )
    assert done.state == ("ceiling" if clustered else "certified")


def test_the_effective_rows_of_equal_groups_are_their_number() -> None:
    assert effective_rows(["a", "a", "b", "b", "c", "c"]) == pytest.approx(3)
    assert effective_rows([None] * 5) == pytest.approx(5)


def test_unknown_costs_leave_the_promise_but_not_the_saving() -> None:
    done = on(TUNE, with_column("cost_usd", "small", np.full(200, np.nan)), FLOOR)
    assert done.state == "certified"
    assert done.locked.expected["cost_usd"].unknown == 200


def test_rows_without_a_score_of_the_ceiling_are_left_out_and_counted() -> None:
    score = ROWS.score["big"].copy()
    score[:30] = np.nan
    done = on(TUNE, with_column("score", "big", score), FLOOR)
    assert done.dropped == 30
    assert any("30 of 200 certify rows are left out" in said for said in done.warnings)


def test_rows_without_a_right_answer_are_counted_where_errors_are_promised() -> None:
    truths = [None if i < 25 else truth for i, truth in enumerate(ROWS.truths)]
    rows = msgspec.structs.replace(ROWS, truths=truths)
    said = on(TUNE, rows, Promise(floor=0.8, recall={"x": 0.5})).warnings
    assert any("25 certify rows have no right answer" in one for one in said)
    assert not any("right answer" in one for one in on(TUNE, rows, FLOOR).warnings)


def test_a_ceiling_that_is_wrong_on_every_row_is_said() -> None:
    done = promised(even(0.9, 0.0), Promise(max_loss=0.05), 60)
    assert any("wrong on every row" in said for said in done.warnings)
