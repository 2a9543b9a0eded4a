"""Reference vectors: tool calls beside their reference.

`bfcl` cases follow the rules of `ast_checker` of the Berkeley Function Calling Leaderboard v4
(Patil et al. 2025), worked out by hand; `schema` cases follow JSON Schema 2020-12; the rest is
worked out by hand. No case is taken from the leaderboard's data.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stepdown.core.request import Tool
from stepdown.core.task import Task
from stepdown.evals.calls import expected_calls, plain_calls
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers import SCORERS

TOOLS = (
    Tool(
        "book",
        "",
        {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "nights": {"type": "integer", "default": 1},
                "price": {"type": "number"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "guest": {"type": "object"},
                "late": {"type": "boolean", "default": False},
                "note": {"type": ["string", "null"]},
            },
            "required": ["city"],
        },
    ),
    Tool("cancel", "", {"type": "object", "properties": {"id": {"type": "integer"}}}),
)
OSLO: dict[str, Any] = {"name": "book", "arguments": {"city": "Oslo"}}
CANCEL: dict[str, Any] = {"name": "cancel", "arguments": {"id": 7}}


def book(**arguments: Any) -> dict[str, Any]:
    return {"name": "book", "arguments": {"city": "Oslo", **arguments}}


def accepts(optional: tuple[str, ...] = (), any_order: tuple[str, ...] = (), **values: Any) -> Any:
    accepted = {"city": ["Oslo"], **values}
    return {"name": "book", "accepted": accepted, "optional": optional, "any_order": any_order}


ONE: list[tuple[Any, Any, float, str]] = [
    # reference, answer, score of tool_calls, source
    ([OSLO], [OSLO], 1, "bfcl"),
    ([OSLO], [CANCEL], 0, "bfcl, another function"),
    ([OSLO], [], 0, "bfcl, nothing called"),
    ([], [], 1, "bfcl irrelevance"),
    ([], [OSLO], 0, "bfcl irrelevance"),
    ([OSLO], [OSLO, OSLO], 0, "bfcl, called twice"),
    ([OSLO, CANCEL], [CANCEL, OSLO], 1, "bfcl, parallel calls in any order"),
    ([OSLO, CANCEL], [OSLO], 0, "bfcl, one of two"),
    ([OSLO, OSLO], [OSLO, CANCEL], 0, "hand"),
    ([OSLO], [book(city="Bergen")], 0, "bfcl, wrong value"),
    ([OSLO], [{"name": "book", "arguments": {}}], 0, "bfcl, a missing argument"),
    ([OSLO], [book(price=3)], 0, "bfcl, an argument that was not asked for"),
    ([OSLO], [book(nights=1)], 1, "hand, the default said aloud"),
    ([OSLO], [book(nights=2)], 0, "hand, not the default"),
    ([OSLO], [book(late=False)], 1, "hand, the default said aloud"),
    ([OSLO], [book(late=0)], 0, "schema, 0 is no boolean"),
    ([book(nights=1)], [OSLO], 1, "hand, the default left out"),
    ([book(nights=2)], [OSLO], 0, "hand"),
    ([book(nights=2)], [book(nights=2.0)], 1, "schema, 2.0 is an integer"),
    ([book(nights=2)], [book(nights="2")], 0, "bfcl, a text is no number"),
    ([book(nights=1)], [book(nights=True)], 0, "schema, true is no number"),
    ([book(price=5.0)], [book(price=5)], 1, "bfcl, int for float"),
    ([book(price=5.5)], [book(price=5)], 0, "hand"),
    ([OSLO], [book(note=None)], 1, "hand, null leaves out"),
    ([book(note=None)], [book(note=None)], 1, "hand, null is meant"),
    ([book(note="x")], [book(note=None)], 0, "hand"),
    ([accepts(price=[5, 6])], [book(price=6)], 1, "bfcl, one of several"),
    ([accepts(price=[5, 6])], [book(price=7)], 0, "bfcl"),
    ([accepts(price=[5])], [OSLO], 0, "bfcl, not optional"),
    ([accepts(("price",), price=[5])], [OSLO], 1, "bfcl, optional"),
    ([accepts(("price",), price=[5])], [book(price=6)], 0, "bfcl, optional and wrong"),
    ([book(tags=["a", "b"])], [book(tags=["a", "b"])], 1, "bfcl"),
    ([book(tags=["a", "b"])], [book(tags=["b", "a"])], 0, "bfcl, lists in order"),
    ([accepts((), ("tags",), tags=[["a", "b"]])], [book(tags=["b", "a"])], 1, "hand, stated"),
    ([accepts((), ("tags",), tags=[["a", "b"]])], [book(tags=["a", "a"])], 0, "hand"),
    ([book(tags=["a"])], [book(tags=["a", "b"])], 0, "bfcl"),
    ([book(guest={"name": "Li", "age": 3})], [book(guest={"age": 3.0, "name": "Li"})], 1, "bfcl"),
    ([book(guest={"name": "Li"})], [book(guest={"name": "Li", "age": 3})], 0, "bfcl"),
    ([book(guest={"name": "Li"})], [book(guest=["Li"])], 0, "bfcl, another type"),
    ([OSLO], [book(city="oslo")], 0, "hand, texts to the letter"),
    ([book(city="Zu\u0308rich")], [book(city="Z\u00fcrich")], 1, "Unicode NFC"),
    ([{"book": {"city": ["Oslo", "Oslo, Norway"]}}], [book(city="Oslo, Norway")], 1, "bfcl shape"),
    ([{"book": {"city": ["Oslo"], "price": ["", 5]}}], [OSLO], 1, "bfcl shape, '' is optional"),
    ([{"book": {"city": ["Oslo"], "price": ["", 5]}}], [book(price=5)], 1, "bfcl shape"),
    ([{"book": {"city": ["Oslo"], "guest": [{"age": [3, 4]}]}}], [book(guest={"age": 4})], 1,
     "bfcl shape, nested"),
    ([{"book": {"city": ["Oslo"], "guest": [{"age": [3], "name": ["", "Li"]}]}}],
     [book(guest={"age": 3})], 1, "bfcl shape, nested optional"),
    ([{"book": {"city": ["Oslo"], "guest": [{"age": [3, 4]}]}}], [book(guest={"age": 5})], 0,
     "bfcl shape, nested"),
    ([{"function": {"name": "book", "arguments": '{"city": "Oslo"}'}}], [OSLO], 1, "chat API"),
]  # fmt: skip
MODES: list[tuple[str, str, str, float, str]] = [
    # option, reference, answer, score, source
    ("exact", "San Francisco", "san francisco", 0, "hand"),
    ("squeezed", "San Francisco", " san  francisco", 1, "hand"),
    ("squeezed", "San Francisco, CA", "San Francisco CA", 0, "hand"),
    ("bfcl", "San Francisco, CA", "san francisco ca", 1, "bfcl standardize_string"),
    ("bfcl", "it's", 'it"s', 1, "bfcl standardize_string"),
    ("bfcl", "a_b-c*d^e", "ABCDE", 1, "bfcl standardize_string"),
    ("bfcl", "a+b", "ab", 0, "bfcl standardize_string keeps the plus"),
]
GRADED: list[tuple[str, Any, Any, float, str]] = [
    ("tool_calls_f1", [OSLO, CANCEL], [OSLO], 2 / 3, "hand: 2*1/(2+1)"),
    ("tool_calls_f1", [OSLO], [OSLO, CANCEL], 2 / 3, "hand: 2*1/(1+2)"),
    ("tool_calls_f1", [], [], 1, "hand"),
    ("tool_calls_f1", [], [OSLO], 0, "hand"),
    ("tool_calls_f1", [OSLO, CANCEL], [CANCEL, OSLO], 1, "hand"),
    ("tool_calls_f1", [accepts(price=[1, 2]), accepts(price=[1])],
     [book(price=1), book(price=2)], 1, "hand, the best matching and not the first"),
    ("tool_names", [OSLO], [book(city="Bergen")], 1, "hand"),
    ("tool_names", [OSLO, CANCEL], [CANCEL, OSLO], 1, "hand"),
    ("tool_names", [OSLO], [OSLO, OSLO], 0, "hand"),
    ("tool_names", [], [], 1, "hand"),
]  # fmt: skip


def scored(name: str, reference: Any, answer: Any, **told: Any) -> tuple[float, str]:
    kind: Any = "tool_call"
    task = Task(name="t", kind=kind, tiers=("a",), tools=TOOLS, scorer=name, scoring=told)
    wanted = plain_calls(expected_calls(reference, TOOLS))
    sample = Sample(id="s", input="x", reference=wanted)
    found = SCORERS[name].score(task, sample, msgspec.json.encode(answer).decode())
    return found.value, found.detail


@pytest.mark.parametrize(("reference", "answer", "score", "source"), ONE)
def test_calls(reference: Any, answer: Any, score: float, source: str) -> None:
    value, detail = scored("tool_calls", reference, answer)
    assert value == score, (source, detail)
    assert bool(detail) == (score == 0)


@pytest.mark.parametrize(("text", "wanted", "given", "score", "source"), MODES)
def test_texts_in_arguments(text: str, wanted: str, given: str, score: float, source: str) -> None:
    reference, answer = [book(city=wanted)], [book(city=given)]
    assert scored("tool_calls", reference, answer, text=text)[0] == score, source


@pytest.mark.parametrize(("name", "reference", "answer", "score", "source"), GRADED)
def test_graded(name: str, reference: Any, answer: Any, score: float, source: str) -> None:
    assert scored(name, reference, answer)[0] == pytest.approx(score), source


def test_ordered_calls_must_come_in_order() -> None:
    assert scored("tool_calls", [OSLO, CANCEL], [CANCEL, OSLO], ordered=True)[0] == 0
    assert scored("tool_calls", [OSLO, CANCEL], [OSLO, CANCEL], ordered=True)[0] == 1


def test_an_answer_whose_order_counts_can_be_a_reference() -> None:
    calls = [{"name": "f", "arguments": {"x": 1}}, {"name": "g", "arguments": {}}]
    assert expected_calls({"calls": calls}) == expected_calls(calls)
