"""A hard limit on what an eval may spend: money is reserved before a call and settled after it.

What is spent beyond the limit is at most what the calls in flight cost more than was reserved for
them. It does not know whom it pays.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from stepdown.core.request import Request, Usage
from stepdown.core.tier import Price
from stepdown.ports.run_store import SavedCall

# A provider that failed has not answered, and bills nothing; a missed deadline may be billed.
UNBILLED = frozenset({"unavailable", "overloaded", "provider_error"})
FINEST = 9  # decimals of a dollar: no bill has finer ones, and what sums leave behind is no money


class Purse:
    """Money for all tiers of an eval; `limit_usd` None is no limit."""

    def __init__(self, limit_usd: float | None = None) -> None:
        self.limit_usd = limit_usd
        self.spent_usd = 0.0
        self.reserved_usd = 0.0
        self._open = 0  # calls that money is reserved for
        self._settled = asyncio.Event()

    async def reserve(self, expected: Callable[[], float | None]) -> float | None:
        """Return what was set aside for a call, None when the money does not suffice for it.

        `expected` says what it will cost, and is asked again after every wait. Where nobody knows
        (None) the call takes all that is left, so that no other flies beside it. Waits while calls
        in flight may yet cost less than was reserved for them.
        """
        if self.limit_usd is None:
            return 0.0
        while True:
            left = round(self.limit_usd - self.spent_usd - self.reserved_usd, FINEST)
            usd = expected()
            wanted = left if usd is None else usd
            if left > 0 and wanted <= left:
                self.reserved_usd += wanted
                self._open += 1
                return wanted
            if not self._open:
                return None
            self._settled.clear()
            await self._settled.wait()

    def settle(self, reserved_usd: float, cost_usd: float | None) -> None:
        """Note what a call cost; where that is not known, all that was reserved counts as spent."""
        if self.limit_usd is None:
            return
        self._open -= 1
        self.reserved_usd = self.reserved_usd - reserved_usd if self._open else 0.0
        self.spent_usd += reserved_usd if cost_usd is None else cost_usd
        self._settled.set()


class Expectation:
    """What the next call of a tier will cost at most, as far as can be told beforehand.

    The input is estimated from its text, times the most that an estimate was short of so far; the
    output is the request's own limit, otherwise the longest that this tier gave so far. None as
    long as nothing is known.
    """

    def __init__(self, price: Price, estimate_tokens: Callable[[str], int]) -> None:
        self._price = price
        self._estimate = estimate_tokens
        self._most_output: int | None = None
        self._most_busy_s: float | None = None
        self._short = 1.0

    def of(self, request: Request) -> float | None:
        """Return the expected cost in dollars."""
        if self._price == Price():
            return 0.0  # the user chose to go on without a price
        known = [n for n in (request.max_tokens, self._most_output) if n is not None]
        tokens = math.ceil(self._tokens(request) * self._short)
        usage = Usage(tokens, max(known) if known else None)
        return self._price.cost_usd(usage, self._most_busy_s)

    def learn(self, request: Request, call: SavedCall) -> None:
        """Take in what a call needed."""
        if call.latency_s is not None:
            self._most_busy_s = max(self._most_busy_s or 0.0, call.latency_s)
        if call.completion is None:
            return
        usage = call.completion.usage
        self._learn_input(request, usage.input_tokens)
        if usage.output_tokens is not None:
            self._most_output = max(self._most_output or 0, usage.output_tokens)

    def _learn_input(self, request: Request, tokens: int | None) -> None:
        estimated = self._tokens(request)
        if tokens is not None and estimated:
            self._short = max(self._short, tokens / estimated)

    def _tokens(self, request: Request) -> int:
        texts = [message.text for message in request.messages] or [request.input]
        return sum(map(self._estimate, texts))


def billed(price: Price, call: SavedCall) -> float | None:
    """Return what a call cost, 0 for one that no provider bills, None when that is not known."""
    if call.completion is not None:
        return price.cost_usd(call.completion.usage, call.latency_s)
    return 0.0 if call.failure in UNBILLED or price == Price() else None
