"""The price book port: what each class of tokens costs, asked once for each distinct rate."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from stepdown.core.tier import Basis


class Rate(Struct, frozen=True, kw_only=True):
    """Dollars a million tokens of each class; None: no price of its own, it costs as the other.

    Cached and written tokens then cost as input, those written for an hour as written ones,
    reasoning as output. `source` says who says so and since when.
    """

    input: float
    output: float
    cached: float | None = None
    written: float | None = None
    written_1h: float | None = None
    reasoning: float | None = None
    basis: Basis = "list"
    source: str = ""


class Rates(Struct, frozen=True):
    """The rates of one model by length of prompt: `rates[i]` above `starts[i - 1]` input tokens."""

    rates: tuple[Rate, ...]
    starts: tuple[int, ...] = ()


class PriceBook(Protocol):
    """Price a model on a day; None: nobody says what it costs."""

    def rates(
        self, model: str, *, provider: str | None, day: str | None, processing: str
    ) -> Rates | None:
        """Return the rates; `day` is YYYY-MM-DD, `processing` standard, batch, flex or priority."""
        ...
