"""The Model port: whatever can answer a request, from a regular expression to a frontier model."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from stepdown.core.request import Capabilities, Chunk, Completion, Request


class Model(Protocol):
    """Answer requests. Implementations translate their own errors into `errors.ModelError`."""

    @property
    def digest(self) -> str:
        """Digest of everything that decides the answer: file, runtime, decoding settings."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Answer in one piece.

        Raises:
            Unavailable: it cannot answer this request (no recording, missing key, wrong task).
            Overloaded: its queue is full.
            TimedOut: no answer within `timeout_s` seconds.
        """
        ...

    def stream(self, request: Request, *, timeout_s: float | None = None) -> AsyncGenerator[Chunk]:
        """Answer in pieces; the last chunk carries the whole completion."""
        ...

    async def aclose(self) -> None:
        """Let go of files, threads and sockets."""
        ...


def keeps_time(model: Model) -> bool:
    """Tell whether a model holds every call to its `timeout_s` by itself (`keeps_time = True`).

    Then nobody around it needs a timer of its own; there is one for each call, not one for each
    layer.
    """
    return getattr(model, "keeps_time", False) is True


def steady(model: Model) -> Model:
    """Return a model that answers alike whatever it was asked before; itself where it does so.

    A runtime that keeps prompts rounds otherwise after other prompts; such a model has `steady()`,
    which returns a twin that keeps none. Who asks for a twin closes it.
    """
    twin = getattr(model, "steady", None)
    return model if twin is None else twin()
