"""A model that stops when an eval's money is used up, for calls that no harness makes."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.core.request import Capabilities, Chunk, Completion, Request
from stepdown.core.tier import Price
from stepdown.errors import ModelError, Unavailable
from stepdown.evals.purse import Expectation, Purse
from stepdown.ports.model import Model
from stepdown.ports.run_store import SavedCall


class BoundedModel:
    """Reserve money before each call and settle it after; without a limit it only passes on."""

    def __init__(self, model: Model, price: Price, purse: Purse) -> None:
        self._model, self._price, self._purse = model, price, purse
        self._expected = Expectation(price, estimate_tokens)

    @property
    def digest(self) -> str:
        """The digest of the model."""
        return self._model.digest

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        return self._model.capabilities

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Answer, as long as there is money. Raises what the model raises.

        Raises:
            Unavailable: the money is used up.
        """
        reserved = await self._purse.reserve(lambda: self._expected.of(request))
        if reserved is None:
            raise Unavailable(f"the ${self._purse.limit_usd:g} of --max-usd are used up")
        try:
            done = await self._model.complete(request, timeout_s=timeout_s)
        except ModelError:
            self._purse.settle(reserved, 0.0)
            raise
        call = SavedCall(key="", sample_id=request.id, completion=done)
        self._expected.learn(request, call)
        self._purse.settle(reserved, self._price.cost_usd(done.usage, done.latency_s))
        return done

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        """Yield the answer as one chunk."""
        done = await self.complete(request, timeout_s=timeout_s)
        yield Chunk(text=done.text, completion=done)

    async def aclose(self) -> None:
        """Nothing of its own to let go of."""
