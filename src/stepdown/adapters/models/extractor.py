"""The extractor tier: fields copied out of a text, each with a confidence; made by `train`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Protocol

from stepdown.core.request import Capabilities, Chunk, Completion, Request, Usage, encode_answer
from stepdown.errors import TimedOut

NO_TOKENS = Usage(input_tokens=0, output_tokens=0)
AT_ONCE_CHARACTERS = 2000
"""What the static encoder reads in a few milliseconds; a longer text goes to a thread."""


class FieldReader(Protocol):
    """A trained extractor with its encoder: text in, fields out."""

    @property
    def digest(self) -> str:
        """Digest of the extractor's file, whose card holds the encoder's digest."""
        ...

    def read(self, text: str) -> tuple[Mapping[str, str | None], Mapping[str, float]]:
        """Return field -> value (None: absent), and field -> confidence, 0..1."""
        ...


class ExtractorModel:
    """Answer with the spans. `in_thread` keeps a slow encoder off the event loop."""

    def __init__(
        self,
        reader: FieldReader,
        name: str,
        *,
        in_thread: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._reader = reader
        self._name = name
        self._in_thread = in_thread
        self._clock = clock

    @property
    def digest(self) -> str:
        """Digest of extractor and encoder."""
        return self._reader.digest

    @property
    def capabilities(self) -> Capabilities:
        """It extracts, and nothing else."""
        return Capabilities(schema=True, polish=False, chat=False)

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Copy the fields out of the bare input.

        Raises:
            TimedOut: a long text was not read in time.
        """
        if not self._in_thread and len(request.input) <= AT_ONCE_CHARACTERS:
            return self._answer(request.input)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.to_thread(self._answer, request.input)
        except TimeoutError:
            raise TimedOut(
                f"{self._name} did not read {len(request.input):,} characters within "
                f"{timeout_s:g} s."
            ) from None

    def _answer(self, text: str) -> Completion:
        start = self._clock()
        values, sure = self._reader.read(text)
        return Completion(
            text=encode_answer(dict(values)),
            field_probs=dict(sure),
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
