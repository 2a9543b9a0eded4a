"""Importing for every kind of task: what a log's answers and a table's cells become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_project import write_jsonl

import stepdown
from stepdown.core.contract import Contract
from stepdown.core.request import Tool
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.dataset import Columns, samples_of
from stepdown.wiring.importing import Imported

WEATHER = Tool(name="weather", parameters={"type": "object", "properties": {"city": {}}})
TASKS = {
    "extract": Task(name="t", kind="extract", tiers=("big",), fields=("name", "total")),
    "schema": Task(
        name="t",
        kind="convert",
        tiers=("big",),
        json_schema={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    ),
    "call": Task(name="t", kind="tool_call", tiers=("big",), tools=(WEATHER,)),
    "draft": Task(name="t", kind="draft", tiers=("big",), contract=Contract(output="Re: {answer}")),
}
CALL = {
    "id": "c",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
}

UNKNOWN = {"name": "x", "arguments": "{}"}
EXPECTED = {"name": "weather", "arguments": {"city": "Oslo"}}


def task_of(kind: str) -> Task:
    from msgspec.structs import replace

    return replace(TASKS[kind], reference="t")


def logged(message: dict[str, Any], n: int = 1) -> dict[str, Any]:
    asked = {"model": "m", "messages": [{"role": "user", "content": f"request {n}"}]}
    choice = {"index": 0, "message": {"role": "assistant", **message}}
    said = {"object": "chat.completion", "model": "m", "choices": [choice]}
    return {"request": asked, "response": said, "metadata": {"step": "t"}}


def imported(folder: Path, kind: str, rows: list[Any], **wishes: Any) -> Imported:
    write_jsonl(folder / "source.jsonl", rows)
    return stepdown.import_eval_set(
        folder / "source.jsonl", to=folder / "set.jsonl", task=task_of(kind), **wishes
    )


def samples(found: Imported, kind: str, **columns: str) -> list[Any]:
    lines = [json.loads(line) for line in found.path.read_text(encoding="utf-8").splitlines()]
    where = Columns(**columns)  # type: ignore[arg-type]
    return list(samples_of(task_of(kind), enumerate(lines, 1), source="set", columns=where))


@pytest.mark.parametrize(
    ("kind", "message", "reference"),
    [
        ("extract", {"content": '{"total": null, "name": "A"}'}, {"name": "A", "total": None}),
        ("schema", {"content": '```json\n{"n": 3}\n```'}, {"n": 3}),
        ("draft", {"content": "Re: Hello you"}, "Hello you"),
        ("call", {"content": None, "tool_calls": [CALL]}, [EXPECTED]),
        ("call", {"content": "Which city?"}, []),
    ],
)  # fmt: skip
def test_a_logged_answer_becomes_a_reference_that_an_eval_reads(
    tmp_path: Path, kind: str, message: dict[str, Any], reference: Any
) -> None:
    found = imported(tmp_path, kind, [logged(message)])
    assert found.card.reference_is == "ceiling"
    (line,) = found.path.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["t"] == reference
    assert len(samples(found, kind)) == 1


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("extract", {"content": '{"total": "3"}'}),
        ("schema", {"content": '{"n": "three"}'}),
        ("draft", {"content": "no salutation"}),
        ("call", {"content": None, "tool_calls": [{**CALL, "function": UNKNOWN}]}),
    ],
)  # fmt: skip
def test_a_logged_answer_of_another_shape_is_refused_with_its_line(
    tmp_path: Path, kind: str, message: dict[str, Any]
) -> None:
    with pytest.raises(DataError, match=r"no answer, such as .*source.jsonl, line 1"):
        imported(tmp_path, kind, [logged(message)])


def test_dialogs_that_end_in_the_same_words_are_different_rows(tmp_path: Path) -> None:
    rows = [
        {"text": "yes", "t": "a fine answer", "history": [{"role": "user", "content": first}]}
        for first in ("cancel my order", "keep my order", "keep my order")
    ]
    found = imported(tmp_path, "draft", rows, columns={"history": "history"})
    assert found.card.n == 2
    assert found.card.refused == {"duplicate": 1}
    assert [s.history[0].text for s in samples(found, "draft", history="history")] == [
        "cancel my order",
        "keep my order",
    ]


def test_a_row_s_own_tools_decide_which_calls_are_right(tmp_path: Path) -> None:
    rain = {"type": "function", "function": {"name": "rain", "parameters": {"type": "object"}}}
    rows = [
        {"text": "one", "t": [{"name": "rain", "arguments": {}}], "functions": [rain]},
        {"text": "two", "t": [{"name": "rain", "arguments": {}}]},
    ]
    found = imported(tmp_path, "call", rows, columns={"tools": "functions"})
    assert found.card.n == 1
    assert found.card.refused == {"wrong reference": 1}


def test_structured_cells_of_a_csv_are_read_as_json(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('text,t\nhello,"{""name"": ""A"", ""total"": null}"\n', "utf-8")
    found = stepdown.import_eval_set(
        tmp_path / "t.csv", to=tmp_path / "set.jsonl", task=task_of("extract")
    )
    assert samples(found, "extract")[0].reference == {"name": "A", "total": None}
