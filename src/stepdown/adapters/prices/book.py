"""A price book: own prices first, then the list; each distinct rate is looked up once.

It keeps which models nobody prices, so that a report can say so and name what is near.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from msgspec import Struct

from stepdown.adapters.prices.listed import listed_rates, nearest_names, price_of
from stepdown.core.own_price import PER_MTOK, OwnPrice, OwnPrices
from stepdown.core.tier import Price
from stepdown.errors import ConfigError
from stepdown.ports.price_book import Rate, Rates

_FIELDS = ("input", "output", "cached", "written", "written_1h", "reasoning")  # as PER_MTOK


class Unpriced(Struct, frozen=True):
    """A model without a price: how it was named, for which way, and the nearest known names."""

    model: str
    processing: str
    nearest: tuple[str, ...]


class Book:
    """Prices as an audit asks for them.

    `default_at` dates the calls whose time is unknown.
    """

    def __init__(self, default_at: date, own: OwnPrices | None = None) -> None:
        self.default_at = default_at
        self.own = own or OwnPrices()
        self._known: dict[tuple[str, str | None, date, str], Rates | None] = {}

    def rates(
        self, model: str, *, provider: str | None, day: str | None, processing: str
    ) -> Rates | None:
        """Return the rates by length of prompt, None where nobody says what the model costs.

        `processing` is standard, batch, flex or priority; another word has no price.
        """
        at = self.default_at if day is None else date.fromisoformat(day[:10])
        key = (model, provider, at, processing)
        if key not in self._known:
            self._known[key] = self._look_up(*key)
        return self._known[key]

    def unpriced(self) -> tuple[Unpriced, ...]:
        """Return the models that were asked for and have no price, each way once."""
        missing = {(_full(p, m), way) for (m, p, _, way), found in self._known.items() if not found}
        return tuple(
            Unpriced(model, way, nearest_names(self.own.real(model)))
            for model, way in sorted(missing)
        )

    def _look_up(self, model: str, provider: str | None, at: date, processing: str) -> Rates | None:
        real = self.own.real(model)
        provider = provider if real == model else None
        names = tuple(dict.fromkeys((_full(provider, real), real, model, _full(provider, model))))
        own = self.own.find(names, at, processing)
        if own is not None and own.multiplier is None:
            return _fixed(own)
        listed = _listed(names, at, processing)
        return listed if own is None or listed is None else _times(listed, own)


def tier_price(model: str, own: OwnPrices, at: date) -> Price:
    """Return what a tier that is priced as a model costs: one's own price, else the list's.

    Raises:
        ConfigError: nobody prices it; names the nearest that is listed.
    """
    rates = Book(at, own).rates(model, provider=None, day=None, processing="standard")
    if rates is None or rates.rates[0].basis != "your_rate":
        return price_of(own.real(model), at=at)
    rate = rates.rates[0]
    return Price(
        input_usd_per_mtok=rate.input,
        output_usd_per_mtok=rate.output,
        cached_usd_per_mtok=rate.cached,
        cache_write_usd_per_mtok=rate.written,
        basis="your_rate",
        source=rate.source,
    )


def _full(provider: str | None, model: str) -> str:
    named = provider is None or model.startswith(f"{provider}/")
    return model if named else f"{provider}/{model}"


def _listed(names: tuple[str, ...], at: date, processing: str) -> Rates | None:
    for name in names:
        try:
            return listed_rates(name, at=at, processing=processing)
        except (ConfigError, ValueError):
            continue
    return None


def _fixed(own: OwnPrice) -> Rates:
    told: dict[str, Any] = {
        name: own.rate(ours) for name, ours in zip(_FIELDS, PER_MTOK, strict=True)
    }
    return Rates((Rate(**told, basis="your_rate", source=own.source),))


def _times(listed: Rates, own: OwnPrice) -> Rates:
    factor = own.multiplier
    assert factor is not None
    return Rates(tuple(_scaled(rate, factor, own.source) for rate in listed.rates), listed.starts)


def _scaled(rate: Rate, factor: float, source: str) -> Rate:
    told = {name: getattr(rate, name) for name in _FIELDS}
    scaled: dict[str, Any] = {
        name: None if usd is None else usd * factor for name, usd in told.items()
    }
    said = f"{source}: {factor:g} x {rate.source}"
    return Rate(**scaled, basis="your_rate", source=said)
