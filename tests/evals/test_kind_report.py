"""What a mean score hides: labels, fields and calls, each figure with its n."""

from __future__ import annotations

from typing import Any

import pytest
from eval_fakes import LABEL_TASK, LABELS
from msgspec.structs import replace

from stepdown.core.compare import Compare
from stepdown.core.outcome import Outcome
from stepdown.core.request import Tool, encode_answer
from stepdown.core.task import Task
from stepdown.evals.calls import expected_calls, plain_calls
from stepdown.evals.dataset import Sample
from stepdown.evals.kind_report import KindReport, kind_report
from stepdown.evals.scorers import SCORERS


def outcomes(
    task: Task, samples: list[Sample], answers: list[str | None], tier: str = "small"
) -> Any:
    scorer = SCORERS[task.scorer]
    for sample, answer in zip(samples, answers, strict=True):
        found = None if answer is None else scorer.score(task, sample, answer)
        yield Outcome(
            query_id=sample.id,
            tier=tier,
            score=0.0 if found is None else found.value,
            failure="deadline" if found is None else found.failure,
            answer=answer,
            group=sample.group,
        )


def labelled(right: str, group: str | None = None) -> list[Sample]:
    known = dict(zip("abc", LABELS, strict=True))
    return [
        Sample(id=f"s{i}", input="x", reference=known[c], group=group and f"{group}{i // 2}")
        for i, c in enumerate(right)
    ]


def said(given: str) -> list[str | None]:
    known = dict(zip("abc", LABELS, strict=True)) | {"-": "no label", "!": None}
    return [known[c] for c in given]


def report(task: Task, samples: list[Sample], answers: list[str | None]) -> KindReport:
    return kind_report(task, samples, outcomes(task, samples, answers), seed=1)


def test_labels_have_f1_confusions_and_answers_that_are_none() -> None:
    (one,) = report(LABEL_TASK, labelled("aaabbc"), said("aabbb-")).figures
    assert one.accuracy.value == pytest.approx(4 / 6)
    assert one.micro_f1.value == pytest.approx(8 / 11)  # 2*4/(5+6): one answer claims no label
    assert one.macro_f1.value == pytest.approx((4 / 5 + 4 / 5 + 0) / 3)
    assert one.no_label == 1
    assert one.macro_f1.low <= one.macro_f1.value <= one.macro_f1.high
    assert one.macro_f1.n == 6
    first = {label.label: label for label in one.labels}["refund"]
    assert (first.precision, first.recall, first.n) == (1.0, pytest.approx(2 / 3), 3)
    pairs = [(c.right, c.given, c.times, c.n) for c in one.confusions]
    assert pairs == [("refund", "order status", 1, 3), ("other", "(no label)", 1, 1)]


def test_a_failed_call_is_an_answer_without_a_label() -> None:
    (one,) = report(LABEL_TASK, labelled("ab"), said("a!")).figures
    assert (one.no_label, one.accuracy.value) == (1, 0.5)


def test_a_judge_is_measured_beyond_chance_by_distance_on_a_scale() -> None:
    task = replace(LABEL_TASK, kind="judge", labels=("1", "2", "3"))
    samples = [Sample(id=f"s{i}", input="x", reference=str(i % 3 + 1)) for i in range(30)]
    near = ["2" if s.reference == "3" else s.reference for s in samples]
    far = ["1" if s.reference == "3" else s.reference for s in samples]
    kappas = [report(task, samples, answers).figures[0].kappa.value for answers in (near, far)]
    assert kappas[0] > kappas[1]


def test_groups_widen_the_intervals() -> None:
    right, given = "abcabcabcabc" * 4, "abcabcabcaab" * 4
    alone = report(LABEL_TASK, labelled(right), said(given)).figures[0].macro_f1
    together = report(LABEL_TASK, labelled(right, "g"), said(given)).figures[0].macro_f1
    assert alone.value == together.value
    assert (alone.low, alone.high) != (together.low, together.high)


def test_fields_are_told_apart_from_the_shape() -> None:
    task = Task(
        name="t",
        kind="convert",
        tiers=("small",),
        json_schema={"type": "object", "required": ["total"]},
        compare={"total": Compare(by="money")},
        scorer="compared",
    )
    samples = [
        Sample(id=f"s{i}", input="x", reference={"total": "$5", "shop": "Kiosk"}) for i in range(4)
    ]
    answers = [
        {"total": 5, "shop": "Kiosk"},
        {"total": 6, "shop": "Kiosk"},
        {"total": 5, "tip": 1},
        {"shop": "Kiosk"},
    ]
    (one,) = report(task, samples, [encode_answer(answer) for answer in answers]).figures
    assert (one.valid.value, one.valid.n) == (0.75, 4)
    assert (one.content.value, one.content.n) == (pytest.approx((1 + 1 / 2 + 1 / 3) / 3), 3)
    fields = {f.field: (f.score.value, f.wrong, f.missing, f.spurious, f.n) for f in one.fields}
    assert fields == {
        "total": (pytest.approx(2 / 3), 1, 0, 0, 3),
        "shop": (pytest.approx(2 / 3), 0, 1, 0, 3),
        "tip": (0.0, 0, 0, 1, 1),
    }


def test_calls_are_told_by_function_arguments_and_holding_back() -> None:
    tools = (Tool("f", "", {}), Tool("g", "", {}))
    task = Task(name="t", kind="tool_call", tiers=("small",), tools=tools, scorer="tool_calls")
    wanted: list[Any] = [[{"name": "f", "arguments": {"x": 1}}]] * 3 + [[], []]
    samples = [
        Sample(id=f"s{i}", input="x", reference=plain_calls(expected_calls(one)))
        for i, one in enumerate(wanted)
    ]
    answers = [
        [{"name": "f", "arguments": {"x": 1}}],
        [{"name": "f", "arguments": {"x": 2}}],
        [{"name": "g", "arguments": {}}],
        [],
        [{"name": "g", "arguments": {}}],
    ]
    (one,) = report(task, samples, [encode_answer(answer) for answer in answers]).figures
    assert (one.functions.value, one.functions.n) == (pytest.approx(2 / 3), 3)
    assert (one.arguments.value, one.arguments.n) == (0.5, 2)
    assert (one.held_back.value, one.held_back.n) == (0.5, 2)
    assert dict(one.errors) == {
        "f: argument x is wrong": 1,
        "g instead of f": 1,
        "calls g, though none fits": 1,
    }


def test_tables_have_a_row_for_each_tier_and_name_what_is_left_out() -> None:
    labels = tuple(f"l{i}" for i in range(30))
    task = replace(LABEL_TASK, labels=labels)
    samples = [Sample(id=f"s{i}", input="x", reference=labels[i % 30]) for i in range(60)]
    found = [
        outcome
        for tier, shift in (("small", 1), ("big", 0))
        for outcome in outcomes(
            task, samples, [labels[(i + (i % 7 == 0) * shift) % 30] for i in range(60)], tier
        )
    ]
    tables = kind_report(task, samples, found, seed=1).tables
    assert [row[0] for row in tables[0].rows] == ["small", "big"]
    assert tables[1].title == "small: the 10 weakest labels of 30"
    assert len(tables[1].rows) == 10
    assert {row[0] for row in tables[-1].rows} == {"small"}


def test_a_kind_without_more_to_say_and_a_run_without_scores_say_nothing() -> None:
    samples = labelled("a")
    assert kind_report(replace(LABEL_TASK, kind="draft"), samples, [], seed=1) == KindReport()
    gone = Outcome(query_id="s0", tier="small", failure="unavailable")
    assert kind_report(LABEL_TASK, samples, [gone], seed=1) == KindReport()
