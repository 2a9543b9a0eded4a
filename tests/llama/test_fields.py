"""A confidence per field: the tokens of the value, and no others."""

import math

import pytest

from stepdown.adapters.models.llama.fields import Piece, field_probs


def pieces(*tokens: tuple[str, float]) -> list[Piece]:
    return [Piece(data=text.encode(), logprob=math.log(p)) for text, p in tokens]


def test_a_field_is_as_sure_as_the_least_likely_token_of_its_value() -> None:
    written = pieces(('{"', 0.1), ("id", 0.2), ('":"', 0.3), ("AB", 0.9), ("12", 0.6), ('"}', 0.1))
    assert field_probs(written) == pytest.approx({"id": 0.6})


def test_each_field_has_its_own_tokens() -> None:
    written = pieces(
        ('{"a":"', 0.1), ("x", 0.5), ('","b":', 0.1), ("null", 0.7), (',"c":"', 0.1), ("y", 0.9)
    ) + pieces(('"}', 0.1))
    assert field_probs(written) == pytest.approx({"a": 0.5, "b": 0.7, "c": 0.9})


def test_characters_of_several_bytes_and_tokens_that_cut_them_do_not_shift_the_fields() -> None:
    euro = "€".encode()
    written = [
        *pieces(('{"a":"', 0.1)),
        Piece(data=euro[:2], logprob=math.log(0.8)),
        Piece(data=euro[2:], logprob=math.log(0.7)),
        *pieces(('","b":"', 0.1), ("z", 0.6), ('"}', 0.1)),
    ]
    assert field_probs(written) == pytest.approx({"a": 0.7, "b": 0.6})


def test_white_space_and_escapes_and_nested_values_are_read() -> None:
    written = pieces(
        ('{ "a" : ', 0.1), ('"q\\"r"', 0.9), (' , "b": ', 0.1), ("[1, 2]", 0.4), (" }", 0.1)
    )
    assert field_probs(written) == pytest.approx({"a": 0.9, "b": 0.4})


@pytest.mark.parametrize("text", ["", "hello", '{"a": ', "[1]"])
def test_what_is_no_whole_object_has_no_fields(text: str) -> None:
    assert field_probs(pieces((text, 0.5))) == {}


def test_an_empty_string_counts_the_token_of_its_quotes() -> None:
    assert field_probs(pieces(('{"a":', 0.1), ('""', 0.4), ("}", 0.1))) == pytest.approx({"a": 0.4})
