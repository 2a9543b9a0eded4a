"""The rule tier: regular expressions that copy fields out of a text. A program, so it is exact.

It knows no probabilities: it has no confidence, and a policy may keep its answers only as a whole.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping

from stepdown.core.digest import digest
from stepdown.core.request import Capabilities, Chunk, Completion, Request, Usage, encode_answer
from stepdown.errors import ConfigError, Unavailable

NO_TOKENS = Usage(input_tokens=0, output_tokens=0)


class RegexModel:
    """Fill each field with the first match of its pattern (group 1 if it has one), else null.

    Raises:
        ConfigError: a pattern that does not compile, naming its field.
    """

    def __init__(
        self,
        task: str,
        patterns: Mapping[str, str],
        fields: tuple[str, ...],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._fields = fields
        self._clock = clock
        self._patterns = {name: _compile(task, name, text) for name, text in patterns.items()}
        self._digest = digest(["rule:regex", dict(patterns), fields])

    @property
    def digest(self) -> str:
        """Digest of the patterns."""
        return self._digest

    @property
    def capabilities(self) -> Capabilities:
        """It extracts, and nothing else."""
        return Capabilities(schema=True, polish=False, chat=False)

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Copy the fields out of the bare input."""
        start = self._clock()
        found = {name: self._first(name, request.input) for name in self._fields}
        return Completion(
            text=encode_answer(found),
            usage=NO_TOKENS,
            latency_s=self._clock() - start,
            model="rule:regex",
        )

    def _first(self, name: str, text: str) -> str | None:
        pattern = self._patterns.get(name)
        match = pattern.search(text) if pattern else None
        return match.group(match.lastindex or 0) if match else None

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        """Yield the answer as one chunk."""
        done = await self.complete(request, timeout_s=timeout_s)
        yield Chunk(text=done.text, completion=done)

    async def aclose(self) -> None:
        """Nothing to let go of."""


class TidyModel:
    """Polish by a program: tidy white space, and nothing that could change a fact."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock

    @property
    def digest(self) -> str:
        """Digest of the program."""
        return digest(["rule:tidy", 1])

    @property
    def capabilities(self) -> Capabilities:
        """It polishes, and nothing else."""
        return Capabilities(chat=False)

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Return the draft with its white space in order."""
        start = self._clock()
        lines = [" ".join(line.split()) for line in request.input.strip().splitlines()]
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
        if not text:
            raise Unavailable("There is no draft to polish.")
        return Completion(
            text=text, usage=NO_TOKENS, latency_s=self._clock() - start, model="rule:tidy"
        )

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        """Yield the answer as one chunk."""
        done = await self.complete(request, timeout_s=timeout_s)
        yield Chunk(text=done.text, completion=done)

    async def aclose(self) -> None:
        """Nothing to let go of."""


def _compile(task: str, field: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(
            f"tasks.{task}.rules.{field}: {text!r} is not a regular expression ({error}).",
            "Correct the pattern in stepdown.toml.",
        ) from None
