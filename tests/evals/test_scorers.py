"""Scorers give the score that a person would compute, and never raise."""

import re
from typing import Any

import pytest
from eval_fakes import DRAFT_TASK, FIELD_TASK, LABEL_TASK
from hypothesis import given, settings
from hypothesis import strategies as st

from stepdown.core.task import Task
from stepdown.errors import ConfigError
from stepdown.evals import references
from stepdown.evals.dataset import Sample
from stepdown.evals.patterns import plain_checklist
from stepdown.evals.scorers import SCORERS, scorer_for, squeezed

POINTS: list[Any] = [
    "refund",
    ["sorry", "apolog"],
    {"accept": ["5.{1,20}days"], "refuse": ["50 days"]},
]
CALLED = [{"name": "f", "accepted": {"x": [1]}}]
CALL_TASK = Task(name="calls", kind="tool_call", tiers=("a",), scorer="tool_calls")
REFERENCES: dict[str, Any] = {
    "exact": "an answer",
    "label": "refund",
    "fields": {"order": "A1", "amount": None},
    "fields_normalised": {"order": "A1", "amount": None},
    "fields_all": {"order": "A1", "amount": None},
    "patterns": {"points": POINTS, "refuse": ["lawyer"]},
    "keeps_patterns": {"points": POINTS, "refuse": ["lawyer"]},
    **{name: ["You get a refund.", "A refund comes."] for name in references.TEXT_METRICS},
    **{name: {"must": ["refund"], "must_not": ["lawyer"]} for name in references.CHECKLISTS},
    "judge": None,
    "compared": {"order": "A1", "amount": None},
    "compared_all": {"order": "A1", "amount": None},
    "tool_calls": CALLED,
    "tool_calls_f1": CALLED,
    "tool_names": CALLED,
}
TASKS = {
    "label": LABEL_TASK,
    "patterns": DRAFT_TASK,
    "exact": DRAFT_TASK,
    "keeps_patterns": DRAFT_TASK,
    "tool_calls": CALL_TASK,
    "tool_calls_f1": CALL_TASK,
    "tool_names": CALL_TASK,
}
DRAFT = "We are sorry. You get a refund."


def scored(name: str, answer: str, reference: Any = None, **meta: Any) -> tuple[float, str | None]:
    wanted = REFERENCES.get(name) if reference is None else reference
    sample = Sample(id="s", input="hello", reference=wanted, meta=meta)
    found = SCORERS[name].score(TASKS.get(name, FIELD_TASK), sample, answer)
    return found.value, found.failure


@pytest.mark.parametrize(
    ("answer", "value"),
    [("an answer", 1), (" An\n  ANSWER ", 1), ("an answer!", 0), ("", 0), ("an ａnswer", 1)],
)
def test_exact_ignores_only_case_white_space_and_form(answer: str, value: float) -> None:
    assert scored("exact", answer) == (value, None)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("refund", (1, None)),
        (" Refund\n", (1, None)),
        ("order status", (0, None)),
        ("ORDER  STATUS", (0, None)),
        ("refund.", (0, "invalid_output")),
        ("I think refund", (0, "invalid_output")),
        ("", (0, "invalid_output")),
    ],
)
def test_a_label_is_right_wrong_or_no_label(
    answer: str, expected: tuple[float, str | None]
) -> None:
    assert scored("label", answer) == expected


@pytest.mark.parametrize(
    ("answer", "mean", "normalised", "whole"),
    [
        ('{"order": "A1", "amount": null}', 1, 1, 1),
        ('{"order": "a1 ", "amount": ""}', 0, 1, 0),
        ('{"order": "A1", "amount": "5"}', 0.5, 0.5, 0),
        ('{"order": null, "amount": null}', 0.5, 0.5, 0),
    ],
)
def test_fields_are_compared_by_the_named_variant(
    answer: str, mean: float, normalised: float, whole: float
) -> None:
    assert scored("fields", answer) == (mean, None)
    assert scored("fields_normalised", answer) == (normalised, None)
    assert scored("fields_all", answer) == (whole, None)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "A1",
        "[]",
        '{"order": "A1"}',
        '{"order": "A1", "amount": 5}',
        '{"order": {}}',
        '{"order": "A1", "amount": null, "x": null}',
        "[" * 100_000,
    ],
)
def test_an_object_that_breaks_the_schema_is_invalid_output(answer: str) -> None:
    for name in ("fields", "fields_normalised", "fields_all"):
        assert scored(name, answer) == (0.0, "invalid_output")


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("Sorry! The refund takes 5 working days.", 1),
        ("We apologise: the REFUND is on its way", 2 / 3),
        ("Refund in 5 days, no, 50 days", 1 / 3),
        ("nothing of the kind", 0),
        ("Sorry! The refund takes 5 working days. Ask your lawyer.", 0),
    ],
)
def test_patterns_score_the_share_of_points_made(answer: str, value: float) -> None:
    assert scored("patterns", answer)[0] == pytest.approx(value)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("We are very sorry, and refund you.", 1),
        ("You will be refunded.", 1 / 2),
        ("Hello.", 0),
        ("So sorry, a refund, and a lawyer", 0),
    ],
)
def test_a_polish_is_scored_by_the_points_of_the_draft_that_it_keeps(
    answer: str, value: float
) -> None:
    assert scored("keeps_patterns", answer, draft=DRAFT)[0] == pytest.approx(value)


def test_a_polish_of_a_draft_without_points_has_nothing_to_lose() -> None:
    assert scored("keeps_patterns", "Hello.", draft="Hi")[0] == 1.0


DEMANDS = {
    "must": ["Refund", {"any": ["5 days", {"regex": "five\\s+days"}]}],
    "must_not": ["lawyer", {"regex": "guarant(ee|y)"}],
}


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("A REFUND within 5\n days.", 1.0),
        ("A refund within five  days.", 1.0),
        ("A refund soon.", 0.5),
        ("Refunds in 15 days", 0.0),
        ("A refund within 5 days, guaranteed: no, a guarantee", 0.0),
        ("A refund within 5 days says our lawyer", 0.0),
        ("", 0.0),
    ],
)
def test_a_checklist_takes_plain_words_patterns_and_alternatives(answer: str, value: float) -> None:
    assert scored("checklist", answer, DEMANDS) == (value, None)
    assert scored("checklist_all", answer, DEMANDS) == (float(value == 1.0), None)


def test_a_checklist_may_only_forbid() -> None:
    assert scored("checklist", "hello", {"must_not": ["lawyer"]}) == (1.0, None)


@pytest.mark.parametrize(
    "wrong", [{}, {"must": []}, [""], {"must": [3]}, {"most": ["a"]}, [{"regex": "("}], "", 3]
)
def test_a_checklist_without_demands_is_refused(wrong: Any) -> None:
    with pytest.raises((ValueError, re.error)):
        plain_checklist(wrong)


@pytest.mark.parametrize("name", sorted(SCORERS))
@settings(deadline=None)  # some load a library at their first text
@given(answer=st.text())
def test_no_string_makes_a_scorer_raise(name: str, answer: str) -> None:
    value, _ = scored(name, answer)
    assert 0 <= value <= 1


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert squeezed(squeezed(text)) == squeezed(text)


@pytest.mark.parametrize("name", [n for n, s in SCORERS.items() if s.binary])
@given(answer=st.text())
def test_a_scorer_that_declares_itself_binary_gives_only_0_and_1(name: str, answer: str) -> None:
    assert scored(name, answer)[0] in {0.0, 1.0}


def test_an_unknown_scorer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'label'"):
        scorer_for("labels")
