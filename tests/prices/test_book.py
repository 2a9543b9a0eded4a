"""The price book: own prices before the list, every class of tokens, and nothing made up."""

from __future__ import annotations

from datetime import date

import pytest

from stepdown.adapters.prices import Book, listed_rates
from stepdown.core.own_price import OwnPrice, OwnPrices
from stepdown.errors import ConfigError
from stepdown.ports.price_book import Rates

TODAY = date(2026, 11, 28)


def rates(
    model: str,
    *,
    provider: str | None = None,
    day: str | None = None,
    processing: str = "standard",
    own: OwnPrices | None = None,
) -> Rates | None:
    return Book(TODAY, own).rates(model, provider=provider, day=day, processing=processing)


def known(found: Rates | None) -> Rates:
    assert found is not None
    return found


def test_every_class_of_tokens_that_is_listed_has_its_rate() -> None:
    (rate,) = known(rates("claude-opus-4-5", provider="anthropic")).rates
    classes = (rate.input, rate.output, rate.cached, rate.written, rate.written_1h)
    assert classes == (5.0, 25.0, 0.5, 6.25, 10.0)
    assert rate.basis == "list"
    assert "genai-prices" in rate.source


def test_a_long_prompt_has_a_band_of_its_own() -> None:
    found = known(rates("anthropic/claude-sonnet-4-5"))
    assert found.starts == (200_000,)
    assert [rate.input for rate in found.rates] == [3.0, 6.0]
    assert [rate.written_1h for rate in found.rates] == [6.0, 12.0]


@pytest.mark.parametrize("way", ["batch", "flex"])
def test_another_way_of_processing_costs_half_where_the_list_says_so(way: str) -> None:
    standard, other = known(rates("openai/gpt-5.1")), known(rates("openai/gpt-5.1", processing=way))
    assert other.rates[0].input == standard.rates[0].input / 2
    assert way in other.rates[0].source


def test_a_batch_of_before_the_list_kept_batches_never_gets_the_full_price() -> None:
    early = known(rates("openai/gpt-5.1", day="2026-09-01", processing="batch"))
    assert early.rates[0].input == 0.625
    assert "taken for earlier days" in early.rates[0].source


def test_a_batch_at_another_standard_price_than_the_listed_batch_is_unknown() -> None:
    # o3 fell from 10 to 2 dollars on 2025-06-10; its batch price is listed since 2026-10-14.
    assert rates("openai/o3", day="2025-05-01", processing="batch") is None
    with pytest.raises(ConfigError, match="the first is of 2026-10-14"):
        listed_rates("openai/o3", at=date(2025, 5, 1), processing="batch")


def test_a_way_of_processing_that_nobody_lists_is_unknown_not_standard() -> None:
    assert rates("anthropic/claude-2", processing="batch") is None
    assert rates("openai/gpt-5.1", processing="scale") is None


def test_the_price_history_goes_by_the_day_of_the_call() -> None:
    before, after = rates("openai/o3", day="2025-06-09"), rates("openai/o3", day="2025-06-10")
    assert (known(before).rates[0].input, known(after).rates[0].input) == (10.0, 2.0)


def test_a_bare_id_of_together_is_found_by_its_provider() -> None:
    name = "meta-llama/Llama-3-70b-chat-hf"
    assert rates(name) is None
    assert rates(name, provider="together") is not None


def test_a_model_that_nobody_lists_is_kept_with_the_nearest_names() -> None:
    book = Book(TODAY)
    assert book.rates("gpt-5.11", provider="openai", day=None, processing="standard") is None
    (missing,) = book.unpriced()
    assert missing.model == "openai/gpt-5.11"
    assert "openai/gpt-5.1" in missing.nearest


def test_an_alias_is_priced_as_the_model_that_it_stands_for() -> None:
    own = OwnPrices({}, {"prod-chat": "openai/gpt-5.1"})
    assert rates("prod-chat", provider="azure", own=own) == rates("openai/gpt-5.1")


def test_own_rates_come_before_the_list_within_their_dates() -> None:
    mine = OwnPrice(
        input_usd_per_mtok=1.0,
        output_usd_per_mtok=2.0,
        start=date(2026, 9, 1),
        until=date(2026, 9, 30),
        source="contract 7",
    )
    own = OwnPrices({"openai/gpt-5.1": (mine,)})
    inside = known(rates("gpt-5.1", provider="openai", day="2026-09-30", own=own)).rates[0]
    assert (inside.input, inside.basis, inside.source) == (1.0, "your_rate", "contract 7")
    assert known(rates("openai/gpt-5.1", day="2026-10-01", own=own)).rates[0].basis == "list"
    # Rates for standard calls say nothing of batches.
    batch = known(rates("openai/gpt-5.1", day="2026-09-30", processing="batch", own=own))
    assert batch.rates[0].basis == "list"


def test_a_discount_holds_for_every_band_and_way_of_a_provider() -> None:
    own = OwnPrices({"anthropic/*": (OwnPrice(multiplier=0.8, source="agreement"),)})
    mine = known(rates("claude-sonnet-4-5", provider="anthropic", own=own))
    listed = known(rates("claude-sonnet-4-5", provider="anthropic"))
    assert mine.starts == listed.starts
    for ours, theirs in zip(mine.rates, listed.rates, strict=True):
        assert ours.input == pytest.approx(0.8 * theirs.input)
        assert ours.written_1h == pytest.approx(0.8 * (theirs.written_1h or 0))
        assert ours.source.startswith("agreement: 0.8 x genai-prices")
    assert known(rates("openai/gpt-5.1", own=own)).rates[0].basis == "list"


def test_a_model_of_the_house_that_nobody_lists_has_its_own_rate() -> None:
    mine = OwnPrice(input_usd_per_mtok=0.1, output_usd_per_mtok=0.2)
    assert rates("house-8b", own=OwnPrices({"house-8b": (mine,)})) is not None


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({}, "one of them"),
        ({"multiplier": 0.5, "input_usd_per_mtok": 1.0}, "one of them"),
        ({"input_usd_per_mtok": 1.0}, "need"),
        ({"multiplier": -1.0}, "0 or more"),
        ({"multiplier": float("nan")}, "0 or more"),
    ],
)
def test_a_price_that_cannot_be_is_refused(said: dict[str, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        OwnPrice(**said)  # type: ignore[arg-type]
