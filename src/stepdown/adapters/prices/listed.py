"""List prices of hosted models from genai-prices, which carries its table and asks no network.

A list price is not an invoice: discounts, credits and taxes are unknown here.
"""

from __future__ import annotations

import difflib
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from stepdown.core.tier import Price
from stepdown.errors import ConfigError
from stepdown.ports.price_book import Rate, Rates

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, PriceCalculation, TieredPrices

    Listed = Decimal | TieredPrices | None

NEAREST = 3


class Processing(StrEnum):
    """How a provider handles a call; an unlisted way is refused, never priced as standard."""

    STANDARD = "standard"
    BATCH = "batch"
    FLEX = "flex"
    PRIORITY = "priority"


# genai-prices ignores a context that it does not know and returns the standard price.
_CONTEXT: dict[Processing, dict[str, str]] = {
    Processing.STANDARD: {},
    Processing.BATCH: {"processing": "batch"},
    Processing.FLEX: {"service_tier": "flex"},
    Processing.PRIORITY: {"service_tier": "priority"},
}


def price_of(
    model_ref: str,
    *,
    at: date,
    processing: Processing = Processing.STANDARD,
    prompt_tokens: int = 0,
) -> Price:
    """Return the list price of `provider/model` (or of a model whose name tells its provider).

    `at` chooses within the price history; rates that change by the hour are taken at noon UTC.
    `prompt_tokens` chooses the band where a provider charges long prompts more.

    Raises:
        ConfigError: the model or its price for this processing is not listed; names the nearest.

    Source: the package genai-prices (MIT), whose version is part of the returned source.
    """
    found, _ = _in_force(model_ref, at, processing)
    rates, band = found.model_price, _band(found.model_price, prompt_tokens)
    return Price(
        input_usd_per_mtok=_usd(rates.input_mtok, prompt_tokens),
        output_usd_per_mtok=_usd(rates.output_mtok, prompt_tokens),
        cached_usd_per_mtok=_usd(rates.cache_read_mtok, prompt_tokens),
        cache_write_usd_per_mtok=_usd(rates.cache_write_mtok, prompt_tokens),
        basis="list",
        source=_source(found, at, processing, band),
    )


def listed_rates(model_ref: str, *, at: date, processing: str = "standard") -> Rates:
    """Return the list rates of a model by length of prompt, with every class of tokens listed.

    Raises:
        ConfigError: the model, or its price for this processing, is not listed.
        ValueError: a processing that there is none of.
    """
    way = Processing(processing)
    found, since = _in_force(model_ref, at, way)
    rates = found.model_price
    starts = _starts(rates)
    bands = [0, *(start + 1 for start in starts)]
    if rates.input_mtok is None:
        raise ConfigError(f"The list has no price of {model_ref!r} by tokens.", _nearest(model_ref))
    return Rates(tuple(_rate(found, at, way, n, since) for n in bands), tuple(starts))


def _rate(
    found: PriceCalculation, at: date, way: Processing, prompt_tokens: int, since: date | None
) -> Rate:
    rates = found.model_price

    def usd(name: str) -> float | None:
        return _usd(getattr(rates, f"{name}_mtok"), prompt_tokens)

    earlier = f", listed since {since} and taken for earlier days" if since else ""
    return Rate(
        input=usd("input") or 0.0,
        output=usd("output") or 0.0,  # embeddings write nothing
        cached=usd("cache_read"),
        written=usd("cache_write"),
        written_1h=usd("cache_write_1h"),
        reasoning=usd("output_reasoning"),
        basis="list",
        source=_source(found, at, way, _band(rates, prompt_tokens)) + earlier,
    )


def _in_force(model_ref: str, at: date, way: Processing) -> tuple[PriceCalculation, date | None]:
    """Return the price on a day, and since when it is listed where that is later than the day.

    A variant that is listed later only than the day holds for it too as long as the standard price
    was the same: the list began to keep variants in October 2026, providers sold them before.
    """
    found = _found(model_ref, at, way)
    _refuse_unlisted_processing(model_ref, found, way)
    since = _variant_since(found, way)
    if since is None or since <= at:
        return found, None
    standard = Processing.STANDARD
    before = _found(model_ref, at, standard).model_price
    if before != _found(model_ref, since, standard).model_price:
        raise ConfigError(
            f"No {way} price of {model_ref!r} is listed for {at}; the first is of {since}.",
            "Give your own under [prices].",
        )
    return _found(model_ref, since, way), since


def _variant_since(found: PriceCalculation, way: Processing) -> date | None:
    """Return the first day on which the list has the price of a way of processing."""
    context = _CONTEXT[way]
    if not context:
        return None
    said = [v.constraint for v in found.model.price_variants or () if v.when == context]
    starts = [getattr(constraint, "start_date", None) for constraint in said]
    return None if None in starts else min((s for s in starts if s is not None), default=None)


def _found(model_ref: str, at: date, processing: Processing) -> PriceCalculation:
    from genai_prices import Usage, calc_price

    provider, name = _parts(model_ref)
    moment = datetime.combine(at, time(12), tzinfo=UTC)
    try:
        return calc_price(
            Usage(input_tokens=0, output_tokens=0),
            name,
            provider_id=provider,
            genai_request_timestamp=moment,
            price_context=_CONTEXT[processing] or None,
        )
    except LookupError as error:
        raise ConfigError(
            f"No list price is known for the model {model_ref!r}.", _nearest(model_ref)
        ) from error


def _parts(model_ref: str) -> tuple[str | None, str]:
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    prefix, slash, rest = model_ref.partition("/")
    if not slash or find_provider_by_id(get_snapshot().providers, prefix) is None:
        return None, model_ref
    return prefix, rest


def _nearest(model_ref: str) -> str:
    near = nearest_names(model_ref)
    listed = f"Nearest known names: {', '.join(near)}. " if near else ""
    return f"{listed}Write it as provider/model, or give the tier a price of its own."


def nearest_names(model_ref: str) -> tuple[str, ...]:
    """Return the listed models whose names are nearest, as provider/model."""
    names, wanted = listed_names(), model_ref.lower()
    near = difflib.get_close_matches(wanted, names, n=NEAREST, cutoff=0.5)
    if not near:
        by_model = {name.partition("/")[2]: name for name in reversed(names)}
        near = [by_model[m] for m in difflib.get_close_matches(wanted, by_model, n=NEAREST)]
    return tuple(near)


def listed_names() -> tuple[str, ...]:
    """Return every model that is listed, as provider/model."""
    from genai_prices.data_snapshot import get_snapshot

    return tuple(f"{p.id}/{m.id}" for p in get_snapshot().providers for m in p.models)


def newest_change(at: date) -> date | None:
    """Return the latest day, up to `at`, from which the list knows a price: it is no older."""
    from genai_prices.data_snapshot import get_snapshot

    said = [m.prices for p in get_snapshot().providers for m in p.models]
    starts = [
        getattr(dated.constraint, "start_date", None)
        for prices in said
        if isinstance(prices, list)
        for dated in prices
    ]
    return max((day for day in starts if isinstance(day, date) and day <= at), default=None)


class Chapter(Struct, frozen=True):
    """A stretch of a model's price history: in force from `start` (None: always) on."""

    start: date | None
    rates: Rates


def history_of(model_ref: str, *, at: date, processing: str = "standard") -> tuple[Chapter, ...]:
    """Return the price history of a model, oldest first.

    Raises:
        ConfigError: the model is not listed.
    """
    found = _found(model_ref, at, Processing.STANDARD)
    said = found.model.prices if isinstance(found.model.prices, list) else []
    starts = {getattr(dated.constraint, "start_date", None) for dated in said}
    days: list[date | None] = [None, *sorted(day for day in starts if day is not None)]
    return tuple(
        Chapter(day, listed_rates(model_ref, at=day or date.min, processing=processing))
        for day in days
    )


def listed_as(model_ref: str, *, at: date) -> str:
    """Return the full name under which a model is listed. Raises ConfigError where it is not."""
    found = _found(model_ref, at, Processing.STANDARD)
    return f"{found.provider.id}/{found.model.id}"


def _refuse_unlisted_processing(
    model_ref: str, found: PriceCalculation, processing: Processing
) -> None:
    context = _CONTEXT[processing]
    if not context or _has_variant(found, context):
        return
    raise ConfigError(
        f"No {processing} price is listed for {model_ref!r}.",
        "Use the standard price, or give the tier a price of its own.",
    )


def _has_variant(found: PriceCalculation, context: dict[str, str]) -> bool:
    # A model that is sold by another provider than its own is priced without its variants.
    if not any(found.model is model for model in found.provider.models):
        return False
    return any(variant.when == context for variant in found.model.price_variants or ())


def _usd(rate: Listed, prompt_tokens: int) -> float | None:
    if rate is None or isinstance(rate, Decimal):
        return None if rate is None else float(rate)
    usd = rate.base
    for tier in rate.tiers:
        if prompt_tokens > tier.start:
            usd = tier.price
    return float(usd)


def _starts(rates: ModelPrice) -> list[int]:
    classes = (rates.input_mtok, rates.output_mtok, rates.cache_read_mtok, rates.cache_write_mtok)
    tiers = [getattr(rate, "tiers", []) for rate in classes]
    return sorted({tier.start for tier_list in tiers for tier in tier_list})


def _band(rates: ModelPrice, prompt_tokens: int) -> str:
    starts = _starts(rates)
    above = [start for start in starts if prompt_tokens > start]
    if above:
        return f", prompts over {above[-1]} tokens"
    return f", prompts up to {starts[0]} tokens" if starts else ""


def _source(found: PriceCalculation, at: date, processing: Processing, band: str) -> str:
    from genai_prices import __version__

    way = "" if processing is Processing.STANDARD else f" {processing}"
    since = _since(found.model, at)
    dated = f"in force since {since}" if since else f"as of release {__version__}"
    name = f"{found.provider.id}/{found.model.id}"
    return f"genai-prices {__version__}, list price of {name}{way} {dated}{band}"


def _since(model: ModelInfo, at: date) -> date | None:
    if not isinstance(model.prices, list):
        return None
    starts = [getattr(dated.constraint, "start_date", None) for dated in model.prices]
    return max((start for start in starts if start is not None and start <= at), default=None)
