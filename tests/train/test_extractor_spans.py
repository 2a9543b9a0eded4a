"""A text becomes tokens, tokens become candidate spans, and values are found among them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from stepdown.train.extractor.candidates import (
    SIZES,
    Reach,
    Spans,
    marked,
    places_of,
    spans_within,
)
from stepdown.train.extractor.hashing import features
from stepdown.train.extractor.spans import Rows, _Objective
from stepdown.train.extractor.targets import places_in, targets_of
from stepdown.train.extractor.tokens import MAX_CHARACTERS, tokenise
from stepdown.train.extractor.writing import Writing, choose_writing


def words(text: str) -> list[str]:
    return list(tokenise(text).words)


def test_numbers_stay_whole_and_marks_stand_alone() -> None:
    assert words("€49.99 on 25/12/2018, order TK-48213.") == [
        "€", "49.99", "on", "25/12/2018", ",", "order", "TK", "-", "48213", ".",
    ]  # fmt: skip
    assert words("RM9.00 tomorrow's") == ["RM", "9.00", "tomorrow", "'", "s"]
    assert words(" \n ") == []


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_every_token_is_where_it_says_and_nothing_but_white_space_is_left_out(text: str) -> None:
    tokens = tokenise(text)
    assert "".join(tokens.words) == "".join(text.split())
    assert len(features(tokens)) == len(tokens)
    assert (np.diff(tokens.lines) >= 0).all()


def test_a_text_beyond_the_limit_is_cut_there() -> None:
    tokens = tokenise("word " * MAX_CHARACTERS)
    assert int(tokens.ends[-1]) <= MAX_CHARACTERS


def test_lines_are_those_that_hold_something() -> None:
    tokens = tokenise("one two\n\n\nthree\n four five")
    assert tokens.lines.tolist() == [0, 0, 1, 2, 2]
    assert tokens.firsts.tolist() == [0, 2, 3]
    assert tokens.lasts.tolist() == [1, 2, 4]


def test_features_tell_tokens_apart_by_their_surroundings_and_not_by_chance() -> None:
    first, again = features(tokenise("total 9.00")), features(tokenise("total 9.00"))
    other = features(tokenise("change 9.00"))
    assert np.array_equal(first, again)
    assert (first[1] != other[1]).any()
    assert (first[1] == other[1]).any()


def test_spans_keep_within_reach() -> None:
    tokens = tokenise("a b c\nd e")
    spans = spans_within(tokens, Reach(tokens=2, lines=1))
    assert [tokens.span(*pair) for pair in zip(spans.first, spans.last, strict=True)] == [
        "a", "b", "c", "d", "e", "a b", "b c", "d e",
    ]  # fmt: skip
    whole = spans_within(tokens, Reach(tokens=9, lines=2, whole_lines=True))
    assert [tokens.span(*pair) for pair in zip(whole.first, whole.last, strict=True)] == [
        "a b c", "d e", "a b c\nd e",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no reach"):
        Reach(tokens=0, lines=1)


@pytest.mark.parametrize(
    ("value", "text", "found"),
    [
        ("14/10", "due 14/10, then", ["14/10"]),
        ("12 Mill Lane, Leeds", "at\n12 Mill Lane,\nLEEDS\nTel", ["12 Mill Lane,\nLEEDS"]),
        ("ADA BAKER LTD", "Ada Baker Ltd.\nYork", ["Ada Baker Ltd"]),
        ("9.00", "9.00 and 19.00 and 9.00", ["9.00", "9.00"]),
        ("D.E, Malaya", "D. E, MALAYA!", ["D. E, MALAYA"]),
        ("lane leeds", "Mill Lane, Leeds", ["Lane, Leeds"]),
        ("€", "€ 5", ["€"]),
        ("made up", "nothing of the kind", None),
        ("kettle", "kettles", None),
        ("...", "no dots", None),
    ],
)
def test_a_value_is_found_without_case_white_space_and_at_last_marks(
    value: str, text: str, found: list[str] | None
) -> None:
    tokens = tokenise(text)
    there = places_of(value, tokens)
    spans = there and [
        tokens.span(*pair) for pair in zip(there.spans.first, there.spans.last, strict=True)
    ]
    assert spans == found


def test_where_marks_do_not_count_a_span_may_end_with_one() -> None:
    tokens = tokenise("12 Mill Lane. Leeds .\nTel")
    there = places_of("12 Mill Lane Leeds", tokens)
    assert there is not None
    spans = spans_within(tokens, Reach(tokens=6, lines=1))
    right = marked(spans, there, tokens)
    assert [
        tokens.span(*pair) for pair in zip(spans.first[right], spans.last[right], strict=True)
    ] == ["12 Mill Lane. Leeds", "12 Mill Lane. Leeds ."]


def test_a_day_that_is_written_otherwise_is_found_by_the_tasks_own_comparison() -> None:
    tokens = [tokenise("Invoice 77 of 25.12.2018, thanks")]

    def same(wanted: object, given: object) -> bool:
        return (wanted, given) == ("2018-12-25", "25.12.2018")

    there = places_in(tokens, ["2018-12-25"], same)[0]
    assert there is not None
    assert tokens[0].span(int(there.spans.first[0]), int(there.spans.last[0])) == "25.12.2018"


def test_a_reach_is_learned_and_whole_lines_are_noticed() -> None:
    text = "Shop\n12 Mill Lane,\nLeeds\nTel 5"
    tokens = [tokenise(text)] * 3
    address = ["12 Mill Lane, Leeds"] * 3
    targets = targets_of(tokens, address, places_in(tokens, address, lambda a, b: a == b))
    assert targets.reach.whole_lines
    assert targets.reach.lines == 2
    assert targets.usable.all()
    lane = ["Mill Lane"] * 2 + [None]
    targets = targets_of(tokens, lane, places_in(tokens, lane, lambda a, b: a == b))
    assert targets.reach == Reach(tokens=2, lines=1)
    assert targets.absent.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("how", "span", "written"),
    [
        (Writing(), "12 Mill Lane,\nLeeds", "12 Mill Lane,\nLeeds"),
        (Writing(lines="space"), "12 Mill Lane, \n Leeds", "12 Mill Lane, Leeds"),
        (Writing(lines="comma"), "12 Mill Lane,\nLeeds\nUK", "12 Mill Lane, Leeds, UK"),
        (Writing(commas=True), "9,Elm Row ,55,57 York", "9, Elm Row, 55,57 York"),
        (Writing(trim=True), "-Leeds.,", "Leeds"),
        (Writing(case="upper"), "Leeds", "LEEDS"),
    ],
)
def test_a_span_is_written_as_the_values_are(how: Writing, span: str, written: str) -> None:
    assert how.write(span) == written


def test_the_plainest_way_of_writing_that_is_right_most_often_is_chosen() -> None:
    pairs = [("A\nb", "A b"), ("c", "c"), ("D,\ne", "D, e")]
    assert choose_writing(pairs, lambda a, b: a == b) == Writing(lines="space")
    assert choose_writing([("a", "a")], lambda a, b: a == b) == Writing()
    assert choose_writing([("a b", "A B")], lambda a, b: a == b) == Writing(case="upper")


def problem() -> Rows:
    """Three texts of 4, 3 and 2 tokens; the last has no value."""
    rng = np.random.default_rng(5)
    from scipy.sparse import csr_matrix

    spans = [
        spans_within(tokenise(text), Reach(tokens=2, lines=1))
        for text in ("a b c d", "a b c", "a b")
    ]
    bounds = np.cumsum([0, *map(len, spans)])
    first = np.concatenate([s.first + by for s, by in zip(spans, (0, 4, 7), strict=True)])
    last = np.concatenate([s.last + by for s, by in zip(spans, (0, 4, 7), strict=True)])
    gold = np.zeros(len(first), dtype=bool)
    gold[[1, 5, bounds[1] + 3]] = True
    hashed = csr_matrix(rng.integers(0, 2, size=(9, 5)).astype(np.float32))
    dense = rng.normal(size=(9, 3)).astype(np.float32)
    return Rows(hashed, dense, Spans(first, last), bounds, gold, np.array([False, False, True]))


def test_the_gradient_is_that_of_the_loss() -> None:
    objective = _Objective(problem(), penalty=0.7)
    point = np.random.default_rng(1).normal(size=8 * 3 + SIZES) * 0.5
    value, gradient = objective(point)
    numeric = approx_fprime(point, lambda at: objective(at)[0], 1e-3)
    assert value > 0
    assert gradient == pytest.approx(numeric, abs=2e-3)
