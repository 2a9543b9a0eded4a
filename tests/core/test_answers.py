"""Answers are the same only when they are: in doubt the keys differ."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepdown.core.answers import answer_key
from stepdown.core.requesting import match_label
from stepdown.core.task import Task
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers import SCORERS

SAME = [
    ("No.", "no"),
    (" Where is\n my  order ", "where is my order"),
    ("NEW YORK", "New York"),
    ("64.0", "64"),
    ("1,234", "1234"),
    ("$1,000.00", "$1000"),
    ("42.", "42"),
    ('{"a": 1, "b": null}', '{"b":null,"a":1}'),
    ('{"a": "\\u00e9"}', '{"a": "é"}'),
    ("cafe\u0301", "caf\u00e9"),
]
DIFFERENT = [
    ("007", "7"),
    ("0123", "123"),
    ("00", "0"),
    ("1e5", "100000"),
    ("1e5", "1E5"),
    ("1,5", "15"),
    ("0,123", "123"),
    ("1,23,456", "123456"),
    ("12.10", "12.1"),  # a day and month, or a version
    ("3.10", "3.1"),
    ("01.02.2024", "1.2.2024"),
    ("2024-01-02", "2024-02-01"),
    ("-5", "5"),
    ("5", "$5"),
    ("9007199254740993", "9007199254740992"),  # alike as doubles
    ("123456789012345678901", "123456789012345678902"),
    ("aGVsbG8", "agvsbg8"),
    ("ORD-1a", "ORD-1A"),
    ("5 MW", "5 mW"),
    ("mW", "MW"),
    ("Maße", "Masse"),
    ("x²", "x2"),
    ("٥", "5"),
    ("", "."),
    (".", "..."),
    ("wait..", "wait."),
    ('{"a": "Anna"}', '{"a": "ANNA"}'),
    ('{"a": "x"}', '{"a": "x."}'),
    ('{"a": "1"}', '{"a": 1}'),
    ('{"a": null}', '{"a": ""}'),
    ('{"a": 12345678901234567891}', '{"a": 12345678901234567892}'),
    ('{"a": 0.10000000000000001}', '{"a": 0.1}'),
    ('{"a": 1e400}', '{"a": 1e401}'),
    ('{"a": true}', '{"a": TRUE}'),
    ('{"a": "x\ny"}', '{"a": "x y"}'),  # the first is no JSON
    ("[1, 2]", "[2, 1]"),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_two_spellings_of_one_answer_have_one_key(first: str, second: str) -> None:
    assert answer_key(first) == answer_key(second)


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_different_answers_have_different_keys(first: str, second: str) -> None:
    assert answer_key(first) != answer_key(second)


@given(st.text())
def test_every_text_has_a_key_and_white_space_around_it_does_not_count(text: str) -> None:
    if not text.strip().startswith(("{", "[")):
        assert answer_key(f"  {text}\n") == answer_key(text)
        assert answer_key(answer_key(text)) == answer_key(answer_key(answer_key(text)))


@given(st.integers(), st.integers())
def test_integers_have_one_key_only_when_they_are_equal(first: int, second: int) -> None:
    assert (answer_key(str(first)) == answer_key(str(second))) == (first == second)
    assert answer_key(f"{first:,}") == answer_key(str(first))


CENTS = st.decimals(-(10**9), 10**9, places=2)


@given(st.decimals(-(10**9), 10**9, places=3), CENTS)
def test_decimals_with_one_key_are_equal(first: Any, second: Any) -> None:
    if answer_key(f"{first:f}") == answer_key(f"{second:f}"):
        assert first == second


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
OBJECTS = st.dictionaries(st.text(max_size=3), LEAVES, max_size=4)


@given(OBJECTS, OBJECTS)
def test_objects_have_one_key_only_when_they_are_written_alike(first: Any, second: Any) -> None:
    alike = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (answer_key(json.dumps(first)) == answer_key(json.dumps(second))) == alike
    turned = dict(reversed(list(first.items())))
    assert answer_key(json.dumps(turned, indent=2)) == answer_key(json.dumps(first))


VALUE = st.sampled_from(("Anna", "ANNA", "anna.", "7", "007", "7.0", " 7", ""))
FIELDS = ("name", "count")


@given(*[st.fixed_dictionaries(dict.fromkeys(FIELDS, st.none() | VALUE)) for _ in range(3)])
def test_answers_with_one_key_get_one_score_from_the_scorers_of_fields(
    first: dict[str, str | None], second: dict[str, str | None], gold: dict[str, str | None]
) -> None:
    task = Task(name="x", kind="extract", tiers=("a",), fields=FIELDS)
    said = [json.dumps(first), json.dumps(dict(reversed(second.items())))]
    if answer_key(said[0]) == answer_key(said[1]):
        sample = Sample(id="q", input="", reference=gold)
        for name in ("fields", "fields_normalised", "fields_all"):
            found = [SCORERS[name].score(task, sample, answer).value for answer in said]
            assert found[0] == found[1]


LABELS = ("refund", "Refund status", "card 2", "Card 2", "won't pay")


@given(*[st.sampled_from(LABELS) for _ in range(2)])
def test_two_labels_never_have_one_key(first: str, second: str) -> None:
    assert match_label(LABELS, first) == first
    assert (answer_key(first) == answer_key(second)) == (first == second)
