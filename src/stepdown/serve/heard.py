"""Hear an answer again: a tier that was asked once is not asked, and not paid, a second time."""

from __future__ import annotations

from collections.abc import AsyncIterator

from msgspec.structs import replace

from stepdown.core.request import Capabilities, Chunk, Completion, Message, Request
from stepdown.core.trace import Attempt
from stepdown.ports.model import Model
from stepdown.serve.step import Step


class Heard:
    """The answer of `tier` to the caller's own `messages`."""

    def __init__(self, tier: str, messages: tuple[Message, ...], completion: Completion) -> None:
        self._tier = tier
        self._messages = messages
        self._completion = completion
        self._echo: _Echo | None = None

    def within(self, step: Step) -> Step:
        """Return the step with the tier's answer in place of the tier, where it was asked the same.

        A tier with a prompt of its own is asked otherwise than the caller's request was.
        """
        if self._tier not in step.models or step.task.prompt_for(self._tier) is not None:
            return step
        self._echo = _Echo(step.models[self._tier], self._messages, self._completion)
        return replace(step, models={**step.models, self._tier: self._echo})

    def is_(self, attempt: Attempt) -> bool:
        """Say whether an attempt was the answer heard again: its cost was the caller's."""
        mine = attempt.kind == "call" and attempt.tier == self._tier
        return mine and self._echo is not None and self._echo.heard


class _Echo:
    """A model that repeats its answer to one request, and is itself for any other."""

    def __init__(self, model: Model, messages: tuple[Message, ...], completion: Completion) -> None:
        self._model = model
        self._messages = messages
        self._completion = completion
        self.heard = False

    @property
    def digest(self) -> str:
        return self._model.digest

    @property
    def capabilities(self) -> Capabilities:
        return self._model.capabilities

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        if request.messages == self._messages:
            self.heard = True
            return self._completion
        return await self._model.complete(request, timeout_s=timeout_s)

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncIterator[Chunk]:
        yield Chunk(completion=await self.complete(request, timeout_s=timeout_s))

    async def aclose(self) -> None:
        """The model belongs to others."""
