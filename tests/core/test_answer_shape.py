"""What is read off an answer without a model."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepdown.core.answer_shape import READ, shape_signals

ASKED = "Tom has 3 boxes of 12 eggs and breaks 4. How many are left?"


def test_right_sums_from_the_prompts_numbers_are_all_right_and_none_is_loose() -> None:
    seen = shape_signals(ASKED, "3 * 12 = 36 eggs. Then 36 - 4 = 32 are left.\n#### 32")
    assert seen["shape_sums_right"] == 1
    assert seen["shape_sums_wrong"] == 0
    assert seen["shape_loose"] == 0
    assert seen["shape_final_last_result"] == 1
    assert seen["shape_unused"] == 0


def test_one_wrong_sum_of_two_is_seen() -> None:
    seen = shape_signals(ASKED, "3 * 12 = 38, and 38 - 4 = 34.")
    assert seen["shape_sums_right"] == 0.5
    assert seen["shape_sums_wrong"] == 1


def test_a_number_from_nowhere_in_a_sum_is_loose() -> None:
    seen = shape_signals(ASKED, "7 * 12 = 84")
    assert seen["shape_loose"] == 0.5


@pytest.mark.parametrize(
    "answer",
    [
        "2 + 3 * 4 = 14",
        "(2 + 3) * 4 = 20",
        "50% x 30 = 15",
        "$1,200 / 4 = $300",
        "10 / 3 = 3.33",
        "2/3 * 60 = 40",
        "-5 + 8 = 3",
        "8 ÷ 2 = 4",
    ],
)
def test_a_sum_is_read_with_its_usual_precedence_units_and_rounding(answer: str) -> None:
    assert shape_signals("", answer)["shape_sums_right"] == 1


@pytest.mark.parametrize("answer", ["x = 4", "4 / 0 = 1", "(2 + 3 = 5", "a = b", "1 + = 2", "= ="])
def test_what_is_no_sum_is_not_judged(answer: str) -> None:
    seen = shape_signals("", answer)
    assert "shape_sums_right" not in seen
    assert seen["shape_no_sums"] == 1


def test_an_answer_without_numbers_has_no_final_number() -> None:
    seen = shape_signals(ASKED, "I cannot help with that.")
    assert "shape_final_whole" not in seen
    assert seen["shape_refusal"] == 1
    assert seen["shape_unused"] == 1


def test_a_sentence_that_breaks_off_is_cut_and_a_finished_one_is_not() -> None:
    assert shape_signals("", "The parcel was sent on")["shape_cut"] == 1
    assert shape_signals("", "The parcel was sent.")["shape_cut"] == 0


def test_json_is_judged_only_where_an_answer_begins_like_it() -> None:
    assert shape_signals("", '{"a": 1}')["shape_json"] == 1
    assert shape_signals("", '{"a": ')["shape_json"] == 0
    assert "shape_json" not in shape_signals("", "a: 1")


def test_repeated_lines_and_doubtful_words_are_counted() -> None:
    seen = shape_signals("", "It might be so.\nIt might be so.\n\nPerhaps not.")
    assert seen["shape_repeated"] == pytest.approx(1 / 3)
    assert seen["shape_hedges"] == pytest.approx(math.log1p(2))


def test_an_empty_answer_is_empty_and_nothing_else() -> None:
    seen = shape_signals("", "")
    assert seen["shape_empty"] == 1
    assert seen["shape_cut"] == 0


def test_only_the_end_of_a_long_answer_is_read() -> None:
    assert shape_signals("", "1 + 1 = 3 " + "word " * READ)["shape_no_sums"] == 1


@given(st.text(max_size=200), st.text(max_size=400))
def test_every_figure_of_any_text_is_a_finite_number(prompt: str, answer: str) -> None:
    assert all(math.isfinite(value) for value in shape_signals(prompt, answer).values())


@given(st.text(alphabet="0123456789.,+-*/=()%$ \n", max_size=400))
def test_every_figure_of_a_heap_of_digits_and_signs_is_finite(answer: str) -> None:
    assert all(math.isfinite(value) for value in shape_signals(answer, answer).values())


def test_hundreds_of_digits_do_not_break_it() -> None:
    digits = "9" * 700
    assert all(map(math.isfinite, shape_signals(digits, f"{digits} + 1 = {digits}").values()))
