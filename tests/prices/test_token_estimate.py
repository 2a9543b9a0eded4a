"""The token estimate: deterministic, stated, near the counts of a real vocabulary."""

import pytest

from stepdown.adapters.prices import ESTIMATE_METHOD, estimate_tokens

# (text, tokens by o200k_base of tiktoken 0.14, counted on 2026-11-22).
KNOWN = [
    ("hi where is order TK-48213", 8),
    (
        (
            "Order 7730-1942 was due Thursday 6 March. Today is the 11th and nobody has phoned, "
            "written or knocked. When is it coming?"
        ),
        35,
    ),
    ('{"order_id": "TK-48213", "product": null, "amount": null, "currency": null}', 25),
    ("I am sorry that order 7730-1942 did not arrive on 6 March and that nobody told you why.", 25),
    ("The kettle that I bought from you last week leaks from the bottom, please refund me.", 18),
]


@pytest.mark.parametrize(("text", "counted"), KNOWN)
def test_an_estimate_lies_near_the_count_of_a_real_vocabulary(text: str, counted: int) -> None:
    assert abs(estimate_tokens(text) - counted) <= 0.25 * counted


def test_an_empty_text_has_no_tokens() -> None:
    assert estimate_tokens("") == 0


def test_texts_put_together_have_about_the_tokens_of_both() -> None:
    first, second = "Where is my parcel?\n", "It was due on 6 March.\n"
    assert estimate_tokens(first + second) == estimate_tokens(first) + estimate_tokens(second)


def test_another_script_is_counted_and_not_free() -> None:
    assert estimate_tokens("注文した商品がまだ届きません") >= 7


def test_the_method_says_that_it_is_an_estimate() -> None:
    assert "estimated" in ESTIMATE_METHOD
