"""List prices: read from the installed table, never guessed, refused by name."""

from datetime import date

import pytest

from stepdown.adapters.prices import Processing, price_of
from stepdown.errors import ConfigError

TODAY = date(2026, 11, 22)


def test_a_listed_model_has_its_prices_and_says_who_says_so() -> None:
    price = price_of("openai/gpt-4.1", at=TODAY)
    assert (price.input_usd_per_mtok, price.output_usd_per_mtok) == (2.0, 8.0)
    assert price.cached_usd_per_mtok == 0.5
    assert price.basis == "list"
    assert price.source.startswith("genai-prices ")
    assert "list price of openai/gpt-4.1" in price.source


def test_a_bare_name_that_tells_its_provider_is_found() -> None:
    bare, full = price_of("gpt-4.1", at=TODAY), price_of("openai/gpt-4.1", at=TODAY)
    assert bare == full


def test_batch_costs_less_than_standard_and_says_batch() -> None:
    standard = price_of("openai/gpt-4.1", at=TODAY)
    batch = price_of("openai/gpt-4.1", at=TODAY, processing=Processing.BATCH)
    assert batch.input_usd_per_mtok is not None
    assert standard.input_usd_per_mtok is not None
    assert batch.input_usd_per_mtok < standard.input_usd_per_mtok
    assert "batch" in batch.source


def test_a_processing_that_is_not_listed_is_refused_and_never_priced_as_standard() -> None:
    with pytest.raises(ConfigError, match="No batch price is listed for 'anthropic/claude-2'"):
        price_of("anthropic/claude-2", at=TODAY, processing=Processing.BATCH)


def test_a_processing_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="bulk"):
        Processing("bulk")


def test_an_unknown_model_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(ConfigError) as caught:
        price_of("anthropic/claude-opus-44", at=TODAY)
    assert "anthropic/claude-opus-4" in caught.value.hint
    assert "provider/model" in caught.value.hint


def test_a_model_id_with_a_slash_and_no_provider_is_refused_with_its_full_name() -> None:
    with pytest.raises(ConfigError) as caught:
        price_of("meta-llama/Llama-3-70b-chat-hf", at=TODAY)
    assert "together/meta-llama/Llama-3-70b-chat-hf" in caught.value.hint


def test_the_price_of_a_long_prompt_is_that_of_its_band() -> None:
    short = price_of("anthropic/claude-sonnet-4-5", at=TODAY, prompt_tokens=200_000)
    long = price_of("anthropic/claude-sonnet-4-5", at=TODAY, prompt_tokens=200_001)
    assert (short.input_usd_per_mtok, long.input_usd_per_mtok) == (3.0, 6.0)
    assert "up to 200000 tokens" in short.source
    assert "over 200000 tokens" in long.source


def test_a_price_change_is_dated_by_the_call() -> None:
    before = price_of("anthropic/claude-opus-4-6", at=date(2026, 3, 12))
    after = price_of("anthropic/claude-opus-4-6", at=date(2026, 3, 13))
    assert "in force since 2026-03-13" in after.source
    assert "in force since" not in before.source
