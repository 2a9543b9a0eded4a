"""Reference vectors: objects compared field by field, worked out by hand (the sum stands beside).

The `fields` cases equal the mean of sklearn.metrics.accuracy_score over the fields of one row.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stepdown.core.compare import Compare
from stepdown.core.task import Task
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers import SCORERS
from stepdown.evals.scorers.compared import field_scores

SCHEMA: dict[str, Any] = {"type": "object"}
MONEY, DATE, SET = {"by": "money"}, {"by": "date"}, {"by": "set"}
BILL = {"total": "$5.00", "date": "2026-01-02", "shop": "Kiosk"}
COMPARED: list[tuple[dict[str, Any], Any, Any, float, str]] = [
    # comparisons, reference, answer, score, how
    ({}, BILL, BILL, 1, "3/3"),
    ({}, BILL, {**BILL, "total": "5.00"}, 2 / 3, "2/3"),
    ({"total": MONEY}, BILL, {**BILL, "total": "5"}, 1, "3/3"),
    ({"total": MONEY, "date": DATE}, BILL, {**BILL, "total": 5, "date": "2 Jan 2026"}, 1, "3/3"),
    ({}, BILL, {"total": "$5.00", "date": "2026-01-02"}, 2 / 3, "2/3, shop missing"),
    ({}, BILL, {**BILL, "tip": "1"}, 3 / 4, "3/4, tip spurious"),
    ({}, BILL, {**BILL, "tip": None}, 1, "4/4, null says nothing, as in the reference"),
    ({}, {**BILL, "tip": None}, BILL, 1, "4/4"),
    ({}, {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, 1 / 2, "a.b right, a.c wrong"),
    ({}, {"a": {"b": 1}}, {"a": None}, 0, "a.b missing"),
    ({}, {"a": None}, {"a": {"b": 1}}, 0, "a.b spurious"),
    ({"a.b": MONEY}, {"a": {"b": "$1"}}, {"a": {"b": 1}}, 1, "1/1"),
    ({"a": {"by": "exact"}}, {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, 0, "a as a whole"),
    ({}, {"x": [1, 2]}, {"x": [1, 2]}, 1, "1/1"),
    ({}, {"x": [1, 2]}, {"x": [2, 1]}, 0, "0/1, lists in order"),
    ({"x": SET}, {"x": ["a", "b"]}, {"x": ["b", "a"]}, 1, "1/1"),
    ({"x": SET}, {"x": ["a", "b"], "y": 1}, {"x": ["a"], "y": 1}, 5 / 6, "(2/3 + 1)/2"),
    ({"x": SET}, {"x": [{"n": "a", "p": 1}, {"n": "b", "p": 2}]},
     {"x": [{"n": "b", "p": 2}, {"n": "a", "p": 1}]}, 1, "objects matched, 2*2/4"),
    ({"x": SET}, {"x": [{"n": "a", "p": 1}, {"n": "b", "p": 2}]},
     {"x": [{"n": "b", "p": 3}, {"n": "a", "p": 1}]}, 3 / 4, "2*(1 + 1/2)/4"),
    ({"x": SET, "x[].p": MONEY}, {"x": [{"p": "$1"}, {"p": "$2"}]},
     {"x": [{"p": 2}, {"p": 1}]}, 1, "2*2/4"),
    ({"x[].p": MONEY}, {"x": [{"p": "$1"}, {"p": "$2"}]}, {"x": [{"p": 1}, {"p": 2}]}, 1, "2/2"),
    ({"x[].p": MONEY}, {"x": [{"p": "$1"}, {"p": "$2"}]}, {"x": [{"p": 1}]}, 1 / 2, "1/2"),
    ({"x": {"by": "set", "all": True}}, {"x": ["a", "b"]}, {"x": ["a"]}, 0, "not all"),
    ({}, {}, {}, 1, "nothing to get wrong"),
    ({}, {}, {"a": 1}, 0, "spurious"),
    ({"n": {"by": "number", "rel": 0.1}}, {"n": 100}, {"n": 109}, 1, "1/1"),
]  # fmt: skip
FIELDS: list[tuple[str, dict[str, Any], dict[str, Any], float, str]] = [
    ("fields", {"a": "x", "b": "y"}, {"a": "x", "b": "Y"}, 1 / 2, "1/2"),
    ("fields", {"a": "x", "b": None}, {"a": "x", "b": None}, 1, "null equals null"),
    ("fields", {"a": "x", "b": None}, {"a": "x", "b": ""}, 1 / 2, "1/2"),
    ("fields_normalised", {"a": "x", "b": "y"}, {"a": "x", "b": " Y "}, 1, "2/2"),
    ("fields_normalised", {"a": "x", "b": None}, {"a": "x", "b": ""}, 1, "empty is null"),
    ("fields_normalised", {"a": "ﬁn", "b": "y"}, {"a": "fin", "b": "y"}, 1, "Unicode NFKC"),
    ("fields_all", {"a": "x", "b": "y"}, {"a": "x", "b": "z"}, 0, "not all"),
    ("fields_all", {"a": "x", "b": "y"}, {"a": "x", "b": "y"}, 1, "all"),
    ("compared", {"a": "x", "b": None}, {"a": "x", "b": None}, 1, "2/2"),
    ("compared", {"a": "x", "b": None}, {"a": "x", "b": "q"}, 1 / 2, "1/2, spurious"),
    ("compared_all", {"a": "x", "b": "y"}, {"a": "x", "b": "z"}, 0, "not all"),
]
MISSES: list[tuple[Any, Any, dict[str, str]]] = [
    ({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 9, "d": 4},
     {"a": "right", "b": "wrong", "c": "missing", "d": "spurious"}),
    ({"a": {"b": 1}}, {"a": {"c": 1}}, {"a.b": "missing", "a.c": "spurious"}),
    ({"a": [1]}, {"a": []}, {"a": "missing"}),
    ({"a": " "}, {"a": "x"}, {"a": "spurious"}),
]  # fmt: skip


def scored(name: str, task: Task, reference: Any, answer: Any) -> float:
    sample = Sample(id="s", input="x", reference=reference)
    return SCORERS[name].score(task, sample, msgspec.json.encode(answer).decode()).value


def task_of(compare: dict[str, Any] | None = None, **more: Any) -> Task:
    how = {field: Compare(**one) for field, one in (compare or {}).items()}
    kind: Any = "convert"
    return Task(name="t", kind=kind, tiers=("a",), compare=how, **more)


@pytest.mark.parametrize(("compare", "reference", "answer", "score", "how"), COMPARED)
def test_values_under_a_schema(
    compare: dict[str, Any], reference: Any, answer: Any, score: float, how: str
) -> None:
    task = task_of(compare, json_schema=SCHEMA, scorer="compared")
    assert scored("compared", task, reference, answer) == pytest.approx(score), how
    whole = scored("compared_all", task, reference, answer)
    assert whole == float(score == 1), how


@pytest.mark.parametrize(("name", "reference", "answer", "score", "how"), FIELDS)
def test_objects_of_text_fields(
    name: str, reference: dict[str, Any], answer: dict[str, Any], score: float, how: str
) -> None:
    task = task_of(fields=("a", "b"), scorer=name)
    assert scored(name, task, reference, answer) == pytest.approx(score), how


@pytest.mark.parametrize(("reference", "answer", "verdicts"), MISSES)
def test_each_field_says_how_it_was_missed(
    reference: Any, answer: Any, verdicts: dict[str, str]
) -> None:
    each = field_scores(task_of(json_schema=SCHEMA), reference, answer)
    assert {one.field: one.verdict for one in each} == verdicts
