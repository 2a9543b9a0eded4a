"""Prices of one's own: what a contract, a discount or a house rate says in place of the list."""

from __future__ import annotations

from datetime import date
from fnmatch import fnmatchcase
from math import inf
from typing import Literal

from msgspec import Struct

Way = Literal["standard", "batch", "flex", "priority"]
PER_MTOK = ("input", "output", "cached", "cache_write", "cache_write_1h", "reasoning")


class OwnPrice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A price from `start` up to and with `until` (None: without end on that side).

    Either rates in dollars a million tokens, or a `multiplier` on the list price. Rates are for
    `processing` (None: for standard processing; a multiplier then holds for every way).
    """

    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cached_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None
    cache_write_1h_usd_per_mtok: float | None = None
    reasoning_usd_per_mtok: float | None = None
    multiplier: float | None = None
    processing: Way | None = None
    start: date | None = None
    until: date | None = None
    source: str = "stepdown.toml"

    def __post_init__(self) -> None:
        """Refuse a price that says nothing, says two things, or cannot be."""
        rates = [rate for name in PER_MTOK if (rate := self.rate(name)) is not None]
        if bool(rates) == (self.multiplier is not None):
            raise ValueError("give `input_usd_per_mtok` and others, or a `multiplier`: one of them")
        if rates and (self.input_usd_per_mtok is None or self.output_usd_per_mtok is None):
            raise ValueError("rates need `input_usd_per_mtok` and `output_usd_per_mtok`")
        if any(not 0 <= value < inf for value in (*rates, self.multiplier or 0.0)):
            raise ValueError("rates and multipliers must be finite and 0 or more")
        if self.start and self.until and self.start > self.until:
            raise ValueError(f"`start` {self.start} lies after `until` {self.until}")

    def rate(self, name: str) -> float | None:
        """Return the rate of a class of tokens, one of PER_MTOK."""
        found: float | None = getattr(self, f"{name}_usd_per_mtok")
        return found

    def holds(self, day: date, processing: str) -> bool:
        """Tell whether the price is in force on a day for a way of processing."""
        way = self.processing or (processing if self.multiplier is not None else "standard")
        begun = self.start is None or self.start <= day
        return way == processing and begun and (self.until is None or day <= self.until)


class OwnPrices(Struct, frozen=True):
    """Own prices by model, and `aliases`: what a log calls a model -> what the list calls it.

    A key is `provider/model`, a model alone, or a pattern such as `openai/*`; the first that fits
    in the order of length, longest first, and is in force on the day counts.
    """

    models: dict[str, tuple[OwnPrice, ...]] = {}
    aliases: dict[str, str] = {}

    def real(self, model: str) -> str:
        """Return the name that the list knows a model by."""
        bare = model.rpartition("/")[2]
        return self.aliases.get(model) or self.aliases.get(bare) or model

    def find(self, names: tuple[str, ...], day: date, processing: str) -> OwnPrice | None:
        """Return the own price of a model that goes by some names, None where there is none."""
        for pattern in sorted(self.models, key=lambda key: ("*" in key, -len(key), key)):
            if not any(fnmatchcase(name, pattern) for name in names):
                continue
            for price in self.models[pattern]:
                if price.holds(day, processing):
                    return price
        return None
