"""A model that somebody else closes: it serves other tasks too."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from stepdown.core.request import Capabilities, Chunk, Completion, Request
from stepdown.ports.model import Model


class BorrowedModel:
    """Hand everything on to a model but its end."""

    def __init__(self, lender: Model) -> None:
        self._lender = lender

    @property
    def digest(self) -> str:
        """Digest of the lender."""
        return self._lender.digest

    @property
    def capabilities(self) -> Capabilities:
        """What the lender can do."""
        return self._lender.capabilities

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Answer as the lender does."""
        return await self._lender.complete(request, timeout_s=timeout_s)

    def stream(self, request: Request, *, timeout_s: float | None = None) -> AsyncGenerator[Chunk]:
        """Stream as the lender does."""
        return self._lender.stream(request, timeout_s=timeout_s)

    async def aclose(self) -> None:
        """Nothing: the lender goes on."""

    def __getattr__(self, name: str) -> Any:
        """What only some models have (`steady`, `keeps_time`) is the lender's too."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._lender, name)
