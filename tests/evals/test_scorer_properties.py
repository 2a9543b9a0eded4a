"""What holds of every scorer and normaliser, whatever it is given."""

from __future__ import annotations

import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepdown.core.answers import answer_key
from stepdown.core.compare import Compare
from stepdown.core.request import encode_answer
from stepdown.core.task import Task
from stepdown.evals.calls import expected_calls, plain_calls
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers import SCORERS
from stepdown.evals.scorers.comparing import alike
from stepdown.evals.scorers.normal import amount_of, day_of, money_of, squeezed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)
WRITTEN = st.text(alphabet=string.digits + ".,'-()€$ RMUSDjan/:", max_size=14) | st.text(max_size=8)
WAYS: Any = st.sampled_from(["exact", "text", "number", "money", "date", "boolean", "set", "list"])
CALL = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["f", "g"]),
        "arguments": st.dictionaries(st.sampled_from("xy"), VALUES, max_size=2),
    }
)
CALLS: Any = Task(name="t", kind="tool_call", tiers=("a",), scorer="tool_calls")
SCHEMED: Any = Task(
    name="t", kind="convert", tiers=("a",), json_schema={"type": "object"}, scorer="compared"
)


def call_score(reference: Any, answer: Any, name: str = "tool_calls") -> float:
    sample = Sample(id="s", input="x", reference=plain_calls(expected_calls(reference)))
    return SCORERS[name].score(CALLS, sample, encode_answer(answer)).value


@given(WRITTEN)
def test_normalisers_read_their_own_output_alike(text: str) -> None:
    assert squeezed(squeezed(text)) == squeezed(text)
    if (day := day_of(text)) is not None:
        assert day_of(day.isoformat()) == day
    if (amount := amount_of(text)) is not None:
        assert amount_of(f"{amount:f}", ".") == amount
    if (money := money_of(text)) is not None:
        assert money_of(f"{money.amount:f} {money.currency or ''}", ".") in (money, None)


@given(WAYS, VALUES | WRITTEN, VALUES | WRITTEN)
def test_comparing_is_symmetric_and_finds_a_value_like_itself(by: str, one: Any, two: Any) -> None:
    how = Compare(by=by)  # type: ignore[arg-type]
    assert alike(how, one, one) == 1
    assert alike(how, one, two) == alike(how, two, one)
    assert 0 <= alike(how, one, two) <= 1


@given(st.lists(st.text(max_size=3), max_size=5), st.randoms(use_true_random=False))
def test_a_set_does_not_care_for_order(items: list[str], chance: Any) -> None:
    shuffled = items[:]
    chance.shuffle(shuffled)
    assert alike(Compare(by="set"), items, shuffled) == 1


@given(st.lists(CALL, max_size=4), st.randoms(use_true_random=False))
def test_calls_do_not_care_for_order_in_scores_and_keys(calls: list[Any], chance: Any) -> None:
    shuffled = calls[:]
    chance.shuffle(shuffled)
    assert call_score(calls, shuffled) == 1
    assert call_score(calls, shuffled, "tool_calls_f1") == 1
    assert answer_key(encode_answer(calls)) == answer_key(encode_answer(shuffled))


@given(st.lists(CALL, max_size=3), CALL)
def test_one_call_too_many_or_too_few_is_never_right(calls: list[Any], more: Any) -> None:
    assert call_score(calls, [*calls, more]) == 0
    assert call_score([*calls, more], calls) == 0


@given(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3))
def test_an_object_equals_itself_under_every_scorer_of_values(value: dict[str, Any]) -> None:
    sample = Sample(id="s", input="x", reference=value)
    for name in ("compared", "compared_all"):
        assert SCORERS[name].score(SCHEMED, sample, encode_answer(value)).value == 1


@pytest.mark.parametrize("name", ["tool_calls", "tool_calls_f1", "tool_names"])
@given(answer=st.text() | VALUES.map(lambda value: msgspec.json.encode(value).decode()))
def test_no_answer_makes_a_scorer_of_calls_raise(name: str, answer: str) -> None:
    sample = Sample(id="s", input="x", reference=[])
    assert 0 <= SCORERS[name].score(CALLS, sample, answer).value <= 1


@pytest.mark.parametrize("name", ["compared", "compared_all"])
@given(answer=st.text() | VALUES.map(lambda value: msgspec.json.encode(value).decode()))
def test_no_answer_makes_a_scorer_of_values_raise(name: str, answer: str) -> None:
    sample = Sample(id="s", input="x", reference={"a": [1, {"b": None}]})
    assert 0 <= SCORERS[name].score(SCHEMED, sample, answer).value <= 1
