"""The expert tier: an encoder with a linear head, trained for one task by `stepdown train`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Protocol

from stepdown.core.request import Capabilities, Chunk, Completion, Request, Usage

NO_TOKENS = Usage(input_tokens=0, output_tokens=0)


class Predictor(Protocol):
    """A trained head with its encoder: text in, a distribution over its labels out."""

    @property
    def digest(self) -> str:
        """Digest of the head's file and of the encoder under it."""
        ...

    def predict(self, text: str) -> tuple[Mapping[str, float], float | None]:
        """Return label -> probability (sums to 1), and how familiar the text is (0..1)."""
        ...


class HeadModel:
    """Answer with the most probable label. `in_thread` keeps a slow encoder off the event loop."""

    def __init__(
        self,
        predictor: Predictor,
        name: str,
        *,
        in_thread: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._predictor = predictor
        self._name = name
        self._in_thread = in_thread
        self._clock = clock

    @property
    def digest(self) -> str:
        """Digest of head and encoder."""
        return self._predictor.digest

    @property
    def capabilities(self) -> Capabilities:
        """It chooses among labels, and nothing else."""
        return Capabilities(labels=True, polish=False, chat=False)

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Choose a label for the bare input."""
        if self._in_thread:
            return await asyncio.to_thread(self._answer, request.input)
        return self._answer(request.input)

    def _answer(self, text: str) -> Completion:
        start = self._clock()
        probabilities, familiarity = self._predictor.predict(text)
        return Completion(
            text=max(probabilities, key=probabilities.__getitem__),
            label_probs=probabilities,
            familiarity=familiarity,
            usage=NO_TOKENS,
            latency_s=self._clock() - start,
            model=self._name,
        )

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        """Yield the answer as one chunk."""
        done = await self.complete(request, timeout_s=timeout_s)
        yield Chunk(text=done.text, completion=done)

    async def aclose(self) -> None:
        """Nothing to let go of."""
