"""A tier: whatever can answer a task, with its place in the order of cost, its price and digest."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from stepdown.core.limits import Limits
from stepdown.core.request import Usage
from stepdown.core.task import Place

Basis = Literal["hardware", "list", "your_rate", "reported", "unknown"]


class Price(Struct, frozen=True, omit_defaults=True):
    """Per token, per hour of hardware, or both; None is unknown. `source`: who says so, when.

    Tokens that a cache gave or took cost what the input does where no price of their own is known.
    """

    usd_per_hour: float | None = None
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cached_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None
    basis: Basis = "unknown"
    source: str = ""

    def cost_usd(self, usage: Usage, busy_s: float | None) -> float | None:
        """Return the cost of one call, None when a part of it is unknown."""
        parts: list[float | None] = []
        if self.usd_per_hour is not None:
            parts.append(None if busy_s is None else busy_s * self.usd_per_hour / 3600)
        if self.input_usd_per_mtok is not None or self.output_usd_per_mtok is not None:
            parts.append(self._tokens_usd(usage))
        known = [part for part in parts if part is not None]
        return sum(known) if parts and len(known) == len(parts) else None

    def _tokens_usd(self, usage: Usage) -> float | None:
        price_in, price_out = self.input_usd_per_mtok, self.output_usd_per_mtok
        if price_in is None or price_out is None:
            return None
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
        fresh = usage.input_tokens - cached - written
        paid = fresh * price_in + usage.output_tokens * price_out
        paid += cached * _or(self.cached_usd_per_mtok, price_in)
        return (paid + written * _or(self.cache_write_usd_per_mtok, price_in)) / 1e6


def _or(price: float | None, instead: float) -> float:
    return instead if price is None else price


class Tier(Struct, frozen=True, kw_only=True):
    """A tier as configured. `dimensions` is the length of vectors that an embed task asks for.

    `model` names the adapter and what it loads (`llama:smollm2-135m-instruct`,
    `head:static-minilm-256`, `recorded:frontier.jsonl`, `openai:MODEL`, `rule:NAME`).
    """

    name: str
    model: str
    place: Place = "embedded"
    price: Price = Price()
    priced_as: str | None = None
    recording: str = "recorded answers"
    timeout_s: float = 60.0
    base_url: str | None = None
    api_key_env: str | None = None
    api_key_file: str | None = None
    api_version: str | None = None
    region: str | None = None
    limits: Limits = Limits()
    dimensions: int | None = None
    vision: bool | None = None

    @property
    def adapter(self) -> str:
        """The part of `model` before the colon."""
        return self.model.partition(":")[0]

    @property
    def target(self) -> str:
        """The part of `model` after the colon."""
        return self.model.partition(":")[2]

    @property
    def recorded(self) -> bool:
        """Whether the tier replays answers that were recorded earlier."""
        return self.adapter == "recorded"
