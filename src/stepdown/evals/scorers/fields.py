"""Scorers of an object of text fields, compared to the letter or normalised."""

from __future__ import annotations

from collections.abc import Callable

from stepdown.core.requesting import read_object
from stepdown.core.task import OBJECTS, Task
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers.normal import squeezed
from stepdown.evals.scorers.scorer import Score, Scorer


def fields(task: Task, sample: Sample, answer: str) -> Score:
    """Score the share of fields that equal the reference in every character (null equals null)."""
    return _per_field(task, sample, answer, lambda value: value)


def fields_normalised(task: Task, sample: Sample, answer: str) -> Score:
    """Score as `fields`, but case, white space and Unicode form do not count; empty is null."""
    return _per_field(task, sample, answer, lambda value: squeezed(value or "") or None)


def fields_all(task: Task, sample: Sample, answer: str) -> Score:
    """Score 1 when every field equals the reference in every character."""
    each = fields(task, sample, answer)
    return Score(float(each.value == 1.0), each.failure, each.detail)


def _per_field(
    task: Task, sample: Sample, answer: str, normal: Callable[[str | None], str | None]
) -> Score:
    found = read_object(task.fields, answer)
    if found is None or not task.fields:
        return Score(0.0, "invalid_output", f"not an object of {', '.join(task.fields)}")
    wrong = [f for f in task.fields if normal(found[f]) != normal(sample.reference[f])]
    detail = f"wrong: {', '.join(wrong)}" if wrong else ""
    return Score((len(task.fields) - len(wrong)) / len(task.fields), detail=detail)


FIELDS = (
    Scorer(
        "fields", 1, "mean exact match of fields, character by character", fields, kinds=OBJECTS
    ),
    Scorer(
        "fields_normalised",
        1,
        "mean exact match of normalised fields",
        fields_normalised,
        kinds=OBJECTS,
    ),
    Scorer("fields_all", 1, "exact match of the whole object", fields_all, True, OBJECTS),
)
