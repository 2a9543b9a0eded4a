"""Scorers of JSON values field by field, each field compared as the task declares.

The fields of an object are `task.fields`, or, under a schema, every path that the reference or the
answer has: `buyer.name`, `items`, and inside the objects of a list `items[].price`. A field that
neither has is not counted; null, blank and empty say nothing. Undeclared fields are compared by the
option `undeclared`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from stepdown.core.compare import Compare
from stepdown.core.request import Completion
from stepdown.core.requesting import read_answer
from stepdown.core.task import OBJECTS, Task
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers.comparing import alike, alike_lists, is_empty
from stepdown.evals.scorers.scorer import Score, Scorer, options_of

Verdict = Literal["right", "wrong", "missing", "spurious"]
LIST = Compare(by="list")


class ComparedOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """`undeclared`: how fields are compared of which `compare` says nothing."""

    undeclared: Literal["exact", "text"] = "exact"


class FieldScore(Struct, frozen=True):
    """What became of one field: its score 0..1, and how it missed."""

    field: str
    score: float
    verdict: Verdict


def compared(task: Task, sample: Sample, answer: str) -> Score:
    """Score the mean over the fields, each compared as declared."""
    found = read_value(task, answer)
    if found.failure is not None:
        return Score(0.0, found.failure, found.detail)
    each = field_scores(task, sample.reference, found.value)
    if not each:
        return Score(1.0)
    wrong = [f"{one.field} ({one.verdict})" for one in each if one.verdict != "right"]
    detail = f"wrong: {', '.join(wrong)}" if wrong else ""
    return Score(min(1.0, sum(one.score for one in each) / len(each)), detail=detail)


def compared_all(task: Task, sample: Sample, answer: str) -> Score:
    """Score 1 when every field is right."""
    each = compared(task, sample, answer)
    return Score(float(each.value == 1.0), each.failure, each.detail)


class ReadValue(Struct, frozen=True):
    """A structured answer as a value; `failure` where it does not have the task's shape."""

    value: Any = None
    failure: str | None = None
    detail: str = ""


def read_value(task: Task, answer: str) -> ReadValue:
    """Return the JSON value of an answer, checked against the task's fields or schema."""
    read = read_answer(task, "", Completion(text=answer))
    if read.text is None:
        return ReadValue(None, read.failure or "invalid_output", read.detail)
    try:
        return ReadValue(msgspec.json.decode(read.text))
    except msgspec.MsgspecError:
        return ReadValue(None, "invalid_output", f"no JSON: {read.text[:80]!r}")


def field_scores(task: Task, reference: Any, value: Any) -> list[FieldScore]:
    """Return what became of every field that the reference or the answer has."""
    options = options_of(ComparedOptions, task) if task.scorer in NAMES else ComparedOptions()
    default = Compare(by=options.undeclared)
    return _Fields(task.compare, default).scores(task.fields, reference, value)


class _Fields:
    """The declared comparisons, and the walk over two values that they guide."""

    def __init__(self, declared: Mapping[str, Compare], default: Compare) -> None:
        self.declared, self.default = declared, default

    def scores(self, fields: tuple[str, ...], reference: Any, value: Any) -> list[FieldScore]:
        if fields:
            pairs = ((name, reference.get(name), value.get(name)) for name in fields)
            return [self.judge(*pair) for pair in pairs]
        return [self.judge(*pair) for pair in self.pairs("", reference, value)]

    def judge(self, field: str, wanted: Any, given: Any) -> FieldScore:
        if is_empty(wanted) and is_empty(given):
            score = self.alike(field, wanted, given)
            return FieldScore(field, score, "right" if score == 1.0 else "wrong")
        if is_empty(given):
            return FieldScore(field, 0.0, "missing")
        if is_empty(wanted):
            return FieldScore(field, 0.0, "spurious")
        score = self.alike(field, wanted, given)
        return FieldScore(field, score, "right" if score == 1.0 else "wrong")

    def pairs(self, path: str, wanted: Any, given: Any) -> Iterator[tuple[str, Any, Any]]:
        """Yield the fields of two values: objects are walked unless they are declared."""
        one, other = (side if isinstance(side, Mapping) else {} for side in (wanted, given))
        walked = isinstance(wanted, Mapping) or (is_empty(wanted) and isinstance(given, Mapping))
        if path in self.declared or not walked or not (one or other):
            if path or not (is_empty(wanted) and is_empty(given)):
                yield path or "(whole)", wanted, given
            return
        for key in dict.fromkeys((*one, *other)):
            yield from self.pairs(f"{path}.{key}".lstrip("."), one.get(key), other.get(key))

    def alike(self, path: str, wanted: Any, given: Any) -> float:
        how = self.declared.get(path)
        inside = any(name.startswith(f"{path}[]") for name in self.declared)
        listed = how is not None and how.by in ("set", "list")
        if inside or (listed and _holds_objects(wanted, given)):
            return alike_lists(how or LIST, wanted, given, self.items(f"{path}[]"))
        return alike(how or self.default, wanted, given)

    def items(self, path: str) -> Any:
        """Return how two items of a list are compared: objects field by field."""

        def item(wanted: Any, given: Any) -> float:
            each = [self.judge(*pair) for pair in self.pairs(path, wanted, given)]
            return sum(one.score for one in each) / len(each) if each else 1.0

        return item


def _holds_objects(*values: Any) -> bool:
    lists = [value for value in values if isinstance(value, list)]
    return any(isinstance(item, Mapping) for value in lists for item in value)


NAMES = ("compared", "compared_all")
COMPARED = (
    Scorer(
        NAMES[0],
        1,
        "mean over fields of equality as declared; lists as sets by F1",
        compared,
        kinds=OBJECTS,
        options=ComparedOptions,
        compares=True,
    ),
    Scorer(
        NAMES[1],
        1,
        "whole object equal as declared",
        compared_all,
        binary=True,
        kinds=OBJECTS,
        options=ComparedOptions,
        compares=True,
    ),
)
