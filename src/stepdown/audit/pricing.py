"""The money of a batch of calls: the price is asked once for each distinct rate, then multiplied.

A cost that the log reports counts as it is. Money is whole 1e-12 dollars, because the sum of floats
depends on their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.core.call_columns import Batch, Words
from stepdown.ports.price_book import PriceBook, Rate, Rates

PICO = 10**12
UNKNOWN, REPORTED = -1, 0
_DAY_S = 86_400
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
KEYS = ("input", "output", "cached", "written", "written_1h", "reasoning")


class Priced(Struct, frozen=True):
    """What each call cost (`pico`, 0 where unknown), by whom (`who`: a place in `Pricer.bases`).

    `rates` are dollars a million tokens by class of tokens, NaN where nobody lists them.
    """

    pico: Ints
    who: Ints
    rates: dict[str, Floats]


class Pricer:
    """Asks a price book once for each distinct rate and remembers it."""

    def __init__(self, book: PriceBook) -> None:
        self.book = book
        self.bases: list[tuple[str, str]] = [("reported", "the log")]
        self._known: dict[tuple[str | None, str | None, float, str], Rates | None] = {}
        self._places: dict[Rate, int] = {}

    def price(self, batch: Batch, tokens: dict[str, Floats]) -> Priced:
        """Return the money of a batch; `tokens` are its token columns, estimates filled in."""
        rows = len(batch)
        rates = {key: np.full(rows, np.nan) for key in KEYS}
        who = np.full(rows, UNKNOWN, dtype=np.int64)
        for at, rate in self._by_rate(batch, tokens["input_tokens"]):
            who[at] = self._place(rate)
            for key, value in _whole(rate).items():
                rates[key][at] = value
        usd = _usd(rates, tokens)
        reported = batch.numbers("cost_usd")
        told = np.isfinite(reported)
        usd = np.where(told, reported, usd)
        who = np.where(told, REPORTED, np.where(np.isfinite(usd), who, UNKNOWN))
        pico = np.rint(np.where(np.isfinite(usd), usd, 0.0) * PICO).astype(np.int64)
        return Priced(pico, who, rates)

    def find(
        self, model: str, provider: str | None, day: str | None, processing: str
    ) -> Rate | None:
        """Return the rate of short prompts, for what might be instead."""
        found = self.book.rates(model, provider=provider, day=day, processing=processing)
        return None if found is None else found.rates[0]

    def _by_rate(self, batch: Batch, inputs: Floats) -> Any:
        columns = [batch.words(name) for name in ("provider", "model", "processing")]
        days = np.floor(batch.numbers("at_s") / _DAY_S)
        keys = np.stack(
            [*(words.codes.astype(float) for words in columns), np.where(np.isnan(days), -1, days)]
        )
        if not keys.shape[1]:
            return
        distinct, which = np.unique(keys, axis=1, return_inverse=True)
        which = which.reshape(-1)
        for place in range(distinct.shape[1]):
            found = self._rates(columns, distinct[:, place])
            if found is None:
                continue
            rows = np.flatnonzero(which == place)
            bands = np.searchsorted(found.starts, np.nan_to_num(inputs[rows]), side="left")
            for band, rate in enumerate(found.rates):
                if (own := rows[bands == band]).size:
                    yield own, rate

    def _rates(self, columns: list[Words], codes: Floats) -> Rates | None:
        provider, model, processing = (_name(w, c) for w, c in zip(columns, codes, strict=False))
        if model is None:
            return None
        key = (provider, model, float(codes[3]), processing or "standard")
        if key not in self._known:
            day = None if codes[3] < 0 else str(np.datetime64(int(codes[3]), "D"))
            self._known[key] = self.book.rates(model, provider=provider, day=day, processing=key[3])
        return self._known[key]

    def _place(self, rate: Rate) -> int:
        if rate not in self._places:
            said = (str(rate.basis), rate.source)
            if said not in self.bases:
                self.bases.append(said)
            self._places[rate] = self.bases.index(said)
        return self._places[rate]


def _name(words: Words, code: float) -> str | None:
    return None if code < 0 else words.names[int(code)]


def _whole(rate: Rate) -> dict[str, float]:
    """Return the rate of each class; what has none of its own costs as the class it is part of."""
    cached = rate.input if rate.cached is None else rate.cached
    written = rate.input if rate.written is None else rate.written
    return {
        "input": rate.input,
        "output": rate.output,
        "cached": cached,
        "written": written,
        "written_1h": written if rate.written_1h is None else rate.written_1h,
        "reasoning": rate.output if rate.reasoning is None else rate.reasoning,
    }


def _usd(rates: dict[str, Floats], tokens: dict[str, Floats]) -> Floats:
    cached, written, hour, thought = (
        np.nan_to_num(tokens[name])
        for name in (
            "cached_tokens",
            "cache_write_tokens",
            "cache_write_1h_tokens",
            "reasoning_tokens",
        )
    )
    fresh = np.maximum(tokens["input_tokens"] - cached - written, 0.0)
    thought = np.minimum(thought, tokens["output_tokens"])
    paid = fresh * rates["input"] + cached * rates["cached"]
    paid += np.maximum(written - hour, 0.0) * rates["written"] + hour * rates["written_1h"]
    paid += (tokens["output_tokens"] - thought) * rates["output"] + thought * rates["reasoning"]
    return paid / 1e6
