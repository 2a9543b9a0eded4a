"""The function-calling questions of BFCL v4, where its files are there (never committed).

Its reference answers score 1 and each of their mutations 0: the rules are the leaderboard's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.bfcl import bfcl_rows
from stepdown.evals.calls import ExpectedCall
from stepdown.evals.dataset import Columns, Sample, samples_of
from stepdown.evals.scorers import SCORERS

DATA = Path(os.environ.get("STEPDOWN_DATA", Path(__file__).parents[3] / "shared" / "data")) / "bfcl"
TASK = Task(name="calls", kind="tool_call", tiers=("a",), scorer="tool_calls", reference="calls")
BFCL = msgspec.structs.replace(TASK, scoring={"text": "bfcl"})
PARTS = {"simple_python": 400, "multiple": 200, "irrelevance": 240}
QUESTION: dict[str, Any] = {
    "id": "q1",
    "question": [[{"role": "user", "content": "How far is it?"}]],
    "function": [
        {
            "name": "distance",
            "parameters": {
                "type": "dict",
                "properties": {
                    "to": {"type": "tuple", "items": {"type": "float"}},
                    "unit": {"type": "any"},
                },
            },
        }
    ],
}


def lines(name: str) -> list[dict[str, Any]]:
    path = DATA / f"BFCL_v4_{name}.json"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def samples(part: str) -> tuple[Sample, ...]:
    if not (DATA / f"BFCL_v4_{part}.json").exists():
        pytest.skip(f"the data of BFCL are not at {DATA}")
    rows = enumerate(bfcl_rows(lines(part), lines(f"{part}.answer")), 1)
    return samples_of(TASK, rows, source=part, columns=Columns(tools="tools"))


def score(task: Task, sample: Sample, calls: list[dict[str, Any]]) -> float:
    return SCORERS["tool_calls"].score(task, sample, msgspec.json.encode(calls).decode()).value


def answers(sample: Sample) -> Iterator[list[dict[str, Any]]]:
    """Yield right answers: every accepted value in turn, then without what may be left out."""
    expected = msgspec.convert(sample.reference, list[ExpectedCall])
    most = max((len(v) for call in expected for v in call.accepted.values()), default=1)
    for place in range(most):
        yield [
            {
                "name": call.name,
                "arguments": {k: v[place % len(v)] for k, v in call.accepted.items()},
            }
            for call in expected
        ]
    yield [
        {
            "name": call.name,
            "arguments": {k: v[0] for k, v in call.accepted.items() if k not in call.optional},
        }
        for call in expected
    ]


def mutated(calls: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield wrong answers: another function, one call more or less, each value changed."""
    yield [{**calls[0], "name": "another"}, *calls[1:]]
    yield [*calls, calls[0]]
    yield calls[1:]
    yield [{**calls[0], "arguments": {**calls[0]["arguments"], "unheard_of": 1}}, *calls[1:]]
    for key, value in calls[0]["arguments"].items():
        changed = [value, "wrong"] if isinstance(value, list) else {"wrong": value}
        yield [{**calls[0], "arguments": {**calls[0]["arguments"], key: changed}}, *calls[1:]]


@pytest.mark.parametrize("part", ["simple_python", "multiple"])
@pytest.mark.parametrize("task", [TASK, BFCL], ids=["exact", "bfcl"])
def test_reference_answers_score_1_and_each_mutation_of_them_0(part: str, task: Task) -> None:
    found = samples(part)
    assert len(found) == PARTS[part]
    for sample in found:
        for right in answers(sample):
            assert score(task, sample, right) == 1, (sample.id, right)
            for wrong in mutated(right):
                assert score(task, sample, wrong) == 0, (sample.id, wrong)


def test_where_nothing_fits_only_no_call_is_right() -> None:
    found = samples("irrelevance")
    assert len(found) == PARTS["irrelevance"]
    for sample in found:
        assert sample.tools
        assert score(TASK, sample, []) == 1
        assert score(TASK, sample, [{"name": sample.tools[0].name, "arguments": {}}]) == 0


def test_types_become_those_of_json_schema() -> None:
    (row,) = bfcl_rows([QUESTION])
    assert row["tools"][0]["parameters"] == {
        "type": "object",
        "properties": {"to": {"type": "array", "items": {"type": "number"}}, "unit": {}},
    }
    assert (row["text"], row["calls"]) == ("How far is it?", [])


def test_a_question_of_another_shape_is_refused_by_number() -> None:
    with pytest.raises(DataError, match="Question 2"):
        list(bfcl_rows([QUESTION, {"id": "q2", "question": "How far?"}]))
