"""Rows become samples, and a broken row is named."""

import json
from typing import Any

import pytest
from eval_fakes import DRAFT_TASK, FIELD_TASK, LABEL_TASK
from msgspec.structs import replace

from stepdown.core.request import Context
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.dataset import Columns, digest_of, samples_of

GOOD = {"id": "a1", "text": "where is it", "shop": "home", "intent": "order status"}


def build(task: Task, *rows: Any, **columns: Any) -> Any:
    where = Columns(**columns) if columns else None
    return samples_of(task, enumerate(rows, 1), source="set.jsonl", columns=where)


def test_a_row_becomes_a_sample_with_its_reference_and_group() -> None:
    (sample,) = build(LABEL_TASK, GOOD, group="shop", meta=("shop",))
    assert (sample.id, sample.reference, sample.group) == ("a1", "order status", "home")
    assert sample.meta == {"shop": "home"}


def test_a_reference_is_found_by_a_dotted_path() -> None:
    task = replace(LABEL_TASK, reference="gold.intent")
    (sample,) = build(task, {"id": 7, "text": "hi", "gold": {"intent": "other"}})
    assert (sample.id, sample.reference) == ("7", "other")


def test_a_label_that_differs_in_case_is_spelled_as_in_the_set() -> None:
    assert build(LABEL_TASK, GOOD | {"intent": "Order  Status"})[0].reference == "order status"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "a", "text": "x"}, "line 2: 'intent' is missing"),
        ({"id": "a", "text": "x", "Intent": "other"}, "Did you mean 'Intent'"),
        (GOOD | {"id": "a", "intent": None}, "line 2: 'intent' is empty"),
        (GOOD | {"id": "a", "intent": "refnd"}, "Did you mean 'refund'"),
        (GOOD | {"id": "a", "intent": 3}, "3 is not a label"),
        (GOOD | {"id": "a", "text": "  "}, "line 2: 'text' must be a text"),
        (GOOD | {"id": None}, "line 2: 'id' is empty"),
        (GOOD, "line 2: the id 'a1' was used on line 1 already"),
        ("text", "line 2: expected an object, got str"),
    ],
)
def test_a_broken_row_is_refused_with_file_line_and_reason(row: Any, said: str) -> None:
    with pytest.raises(DataError, match=r"set\.jsonl, line 2") as refused:
        build(LABEL_TASK, GOOD, row)
    assert said in str(refused.value)


@pytest.mark.parametrize("entities", [{"order": "1"}, {"order": "1", "amount": 2}, "none", []])
def test_a_reference_of_fields_must_have_exactly_the_fields(entities: Any) -> None:
    with pytest.raises(DataError, match="line 1: entities"):
        build(FIELD_TASK, {"id": "a", "text": "x", "entities": entities})


@pytest.mark.parametrize(
    "points", [[], [[]], [""], ["(open"], [{"accpt": ["a"]}], 3, {"points": 3}]
)
def test_accepted_patterns_are_checked_when_the_set_is_read(points: Any) -> None:
    with pytest.raises(DataError, match="line 1: points holds no accepted patterns"):
        build(DRAFT_TASK, {"id": "a", "text": "x", "points": points})


CHAT = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "where to?"}]
IMAGE = "data:image/png;base64,AAAA"


def test_a_sample_holds_what_stands_around_its_text() -> None:
    row = GOOD | {"before": CHAT, "shown": IMAGE, "can": [{"name": "f"}]}
    (sample,) = build(LABEL_TASK, row, history="before", images="shown", tools="can")
    assert [m.role for m in sample.history] == ["user", "assistant"]
    assert (sample.images, sample.tools[0].name) == ((IMAGE,), "f")
    (bare,) = build(LABEL_TASK, GOOD)
    assert (bare.context, bare.digest == sample.digest) == (Context(), False)


def test_lists_in_a_csv_are_json_and_a_row_may_lack_what_stands_around() -> None:
    row = GOOD | {"before": json.dumps(CHAT), "shown": None}
    (sample,) = build(LABEL_TASK, row, history="before", images="shown")
    assert (len(sample.history), sample.images) == (2, ())


def test_a_text_may_be_empty_where_the_history_says_everything() -> None:
    (sample,) = build(LABEL_TASK, GOOD | {"text": "", "before": CHAT}, history="before")
    assert sample.input == ""


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("history", [{"role": "robot"}], "Invalid enum value 'robot'"),
        ("history", "hello", "messages: Expected `array`"),
        ("tools", [{"description": "x"}], "tool 1"),
        ("images", "photo.png", "expected a data URL"),
        ("images", 3, "expected an image or a list"),
    ],
)
def test_what_stands_around_a_text_is_checked_row_by_row(
    column: str, value: Any, said: str
) -> None:
    with pytest.raises(DataError, match=r"set\.jsonl, line 1: x: ") as refused:
        build(LABEL_TASK, GOOD | {"x": value}, **{column: "x"})
    assert said in str(refused.value)


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(DataError, match=r"set\.jsonl holds no samples"):
        build(LABEL_TASK)


def test_a_task_without_a_reference_path_says_so() -> None:
    with pytest.raises(DataError, match="does not say where the right answer stands"):
        build(replace(LABEL_TASK, reference=""), GOOD)


def test_the_digest_of_a_set_does_not_depend_on_the_order_but_on_every_reference() -> None:
    one, two = build(LABEL_TASK, GOOD, GOOD | {"id": "a2"})
    assert digest_of([one, two]) == digest_of([two, one])
    assert digest_of([one, two]) != digest_of([one, replace(two, reference="other")])
