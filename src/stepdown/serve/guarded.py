"""A model behind its tier's gate: the Model port again, so that nobody who calls it need know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from stepdown.core.request import Capabilities, Chunk, Completion, Request
from stepdown.errors import TimedOut
from stepdown.ports.model import Model, keeps_time
from stepdown.serve.gate import Gate


class Guarded:
    """Ask `model` only when its gate lets a call through.

    Waiting in the queue counts towards the time-out. Retries are the wire's own affair: only there
    is known whether a byte came back, so there is one place for them.
    """

    keeps_time = True

    def __init__(self, model: Model, gate: Gate) -> None:
        self._model = model
        self._holds_time = keeps_time(model)
        self.gate = gate

    @property
    def digest(self) -> str:
        """Digest of the model behind."""
        return self._model.digest

    @property
    def capabilities(self) -> Capabilities:
        """What the model behind can do."""
        return self._model.capabilities

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Answer in one piece.

        Raises:
            Down: the tier failed too often and is left alone.
            Overloaded: its queue is full.
            ModelError: what the model raised.
        """
        async with self.gate.passed(timeout_s) as waited_s:
            left = None if timeout_s is None else timeout_s - waited_s
            if self._holds_time:
                done = await self._model.complete(request, timeout_s=left)
            else:
                done = await _cut_off(self._model, request, left, self.gate.tier)
            self.gate.retried(done.retries)
            return done

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        """Answer in pieces; the place at the gate is held until the answer is whole."""
        last: Chunk | None = None
        async with self.gate.passed(timeout_s) as waited_s:
            left = None if timeout_s is None else timeout_s - waited_s
            pieces = self._model.stream(request, timeout_s=left)
            async with aclosing(pieces):
                async for chunk in pieces:
                    if chunk.completion is not None:
                        self.gate.retried(chunk.completion.retries)
                        last = chunk
                        break
                    yield chunk
        if last is not None:  # outside: whoever has it all may go without having hung up
            yield last

    async def aclose(self) -> None:
        """Let go of the model behind."""
        await self._model.aclose()


async def _cut_off(model: Model, request: Request, left_s: float | None, tier: str) -> Completion:
    """Hold a model to its time that does not do so itself."""
    try:
        async with asyncio.timeout(left_s):
            return await model.complete(request, timeout_s=left_s)
    except TimeoutError:
        raise TimedOut(f"{tier} did not answer within {left_s:g} s.") from None
