"""Two runs side by side: paired by sample, nothing lost, both directions shown."""

from __future__ import annotations

from typing import Any

import pytest

from stepdown.core.answered import Answered
from stepdown.evals.versus import Versus, versus


def said(number: int, score: float | None, **more: Any) -> Answered:
    base = {"id": f"s{number}", "sample": f"d{number}", "tier": "small", "input": f"text {number}"}
    return Answered(**{**base, "score": score, "answer": f"a{score}", **more})


def compared(a: list[Answered], b: list[Answered]) -> Versus:
    return versus("topic", ("old", a), ("new", b), seed=1)


def test_only_common_samples_are_compared_and_the_rest_is_counted() -> None:
    a = [said(n, 1.0) for n in range(5)]
    b = [said(n, 0.0) for n in range(3, 9)]
    found = compared(a, b)
    assert (found.common, found.only_a, found.only_b) == (2, 3, 4)
    assert found.difference.value == -1.0
    assert [change.before.id for change in found.worse] == ["s3", "s4"]


def test_a_sample_that_was_edited_is_another_sample() -> None:
    found = compared([said(1, 1.0), said(2, 1.0)], [said(1, 0.0, sample="other"), said(2, 1.0)])
    assert (found.common, found.only_a, found.only_b, found.edited) == (1, 1, 1, 1)
    assert found.worse == ()


def test_changes_are_shown_both_ways_the_greatest_first() -> None:
    a = [said(1, 0.0), said(2, 0.5), said(3, 1.0), said(4, 0.5)]
    b = [said(1, 0.2), said(2, 1.0), said(3, 0.0), said(4, 0.5, answer="otherwise")]
    found = compared(a, b)
    assert [change.before.id for change in found.better] == ["s2", "s1"]
    assert [change.after.id for change in found.worse] == ["s3"]
    assert (found.same, found.said_otherwise) == (1, 1)


def test_samples_without_a_score_are_left_out_and_counted() -> None:
    found = compared([said(1, None), said(2, 1.0)], [said(1, 1.0), said(2, 1.0)])
    assert found.unscored == 1
    assert found.difference.n == 1


def test_repeats_of_a_sample_count_as_their_mean() -> None:
    a = [said(1, score, repeat=n) for n, score in enumerate([1.0, 0.0])]
    found = compared(a, [said(1, 1.0)])
    assert found.difference.value == pytest.approx(0.5)
    assert found.better[0].before.score == 0.0


def test_rows_of_one_group_widen_the_interval() -> None:
    rows = [(n, float(n % 4 != 0)) for n in range(40)]
    alone = compared([said(n, 1.0) for n, _ in rows], [said(n, s) for n, s in rows])
    tied = compared(
        [said(n, 1.0, group=f"g{n % 4}") for n, _ in rows],
        [said(n, s, group=f"g{n % 4}") for n, s in rows],
    )
    assert tied.groups == 4
    assert tied.difference.low is not None
    assert alone.difference.low is not None
    assert tied.difference.low < alone.difference.low
    assert tied.test.p_value > alone.test.p_value


def test_kept_answers_are_left_out_of_latency_and_unknown_costs_are_counted() -> None:
    a = [said(1, 1.0, latency_s=1.0, cost_usd=0.001), said(2, 1.0, latency_s=9.0, reused=True)]
    b = [said(1, 1.0, latency_s=2.0, cost_usd=0.003), said(2, 1.0, cost_usd=0.1)]
    found = compared(a, b)
    assert found.latency_a[0].value == 1.0
    assert found.reused == (1, 0)
    assert found.costs.difference.value == pytest.approx(2.0)
    assert found.costs.unknown == 1


def test_nothing_in_common_is_no_difference_but_unknown() -> None:
    found = compared([said(1, 1.0)], [said(2, 1.0)])
    assert found.difference.value is None
    assert found.score_a.value is None
