"""Names of models: which is a newer version of which."""

from __future__ import annotations

import pytest

from stepdown.core.offered import base_of, named, newer


@pytest.mark.parametrize(
    ("model", "others", "found"),
    [
        ("claude-sonnet-4-5", ["claude-sonnet-5-5", "claude-opus-5-5"], ("claude-sonnet-5-5",)),
        ("claude-3-5-sonnet-20241022", ["claude-sonnet-4-6"], ("claude-sonnet-4-6",)),
        ("gpt-4.1-mini", ["gpt-5-mini", "gpt-5.4-mini", "gpt-5.4"], ("gpt-5.4-mini", "gpt-5-mini")),
        ("gpt-5.4", ["gpt-5.10", "gpt-5.3", "gpt-5.4"], ("gpt-5.10",)),
        ("o3-mini", ["o4-mini", "o4-mini-2025-04-16"], ("o4-mini-2025-04-16", "o4-mini")),
        ("llama-3.1-8b-instruct", ["llama-3.3-70b-instruct", "llama-3.3-8b-instruct"],
         ("llama-3.3-8b-instruct",)),
        ("gpt-4o-2024-05-13", ["gpt-4o-2024-11-20", "gpt-4o"], ("gpt-4o-2024-11-20",)),
        ("gpt-4o", ["gpt-4o-2024-11-20"], ()),
        ("mistral-large-latest", ["mistral-large-2411"], ()),
        ("embed", ["embed-2"], ()),
    ],
)  # fmt: skip
def test_a_newer_version_has_the_same_words_and_larger_numbers(
    model: str, others: list[str], found: tuple[str, ...]
) -> None:
    assert newer(model, others) == found


def test_a_name_is_taken_apart_into_words_version_and_date() -> None:
    assert named("anthropic/claude-sonnet-4-5-20250929") == named("Claude-4.5-Sonnet-2025-09-29")
    assert named("mixtral-8x7b-instruct").version == ()


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", "gpt-4o-mini-2024-07-18"),
        ("gpt-4o", "gpt-4o"),
        ("ft:", "ft:"),
    ],
)
def test_a_fine_tuned_model_ends_with_its_base(model: str, base: str) -> None:
    assert base_of(model) == base
