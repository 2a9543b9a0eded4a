"""A tier that a task may not reach: it refuses whatever it is asked, and knows no address.

Whoever asks for the model of a task's tier outside the task's boundary gets this one, so that no
mistake elsewhere (an eval, a bought signal, a shadow, a direct call) can send the data out.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from stepdown.core.request import Capabilities, Chunk, Completion, Request
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import Unavailable


class ForbiddenModel:
    """Refuse in place of `tier`, for data that must stay inside the boundary of `task`."""

    digest = "forbidden"
    capabilities = Capabilities(polish=False)

    def __init__(self, task: Task, tier: Tier) -> None:
        self._error = Unavailable(
            f"The tier {tier.name!r} is at {tier.place!r}, outside the boundary "
            f"{task.boundary!r} of the task {task.name!r}."
        )

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Refuse. Raises Unavailable."""
        raise self._error

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        """Refuse. Raises Unavailable."""
        yield Chunk(completion=await self.complete(request, timeout_s=timeout_s))

    async def aclose(self) -> None:
        """There is nothing to let go of."""
