"""Ask one tier one thing, within its time; it decides nothing and keeps no books."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from stepdown.core.request import Chunk, Completion, Request
from stepdown.core.tier import Tier
from stepdown.errors import ModelError, TimedOut
from stepdown.ports.model import Model


async def complete_in_time(tier: Tier, model: Model, request: Request) -> Completion:
    """Return a tier's answer.

    Raises:
        ModelError: what the model raised; TimedOut when it took longer than the tier may.
    """
    try:
        async with asyncio.timeout(tier.timeout_s):
            return await model.complete(request, timeout_s=tier.timeout_s)
    except TimeoutError:
        raise TimedOut(f"{tier.name} did not answer within {tier.timeout_s:g} s.") from None


async def stream_in_time(
    tier: Tier, model: Model, request: Request, take: Callable[[Chunk], Awaitable[None]]
) -> Completion:
    """Return a tier's answer; hand each piece to `take` as it comes.

    Raises:
        ModelError: what the model raised, or that it ended without its whole answer; TimedOut
            when it took longer than the tier may.
    """
    said = model.stream(request, timeout_s=tier.timeout_s)
    try:
        async with asyncio.timeout(tier.timeout_s), aclosing(said):
            async for chunk in said:
                await take(chunk)
                if chunk.completion is not None:
                    return chunk.completion
    except TimeoutError:
        raise TimedOut(f"{tier.name} did not answer within {tier.timeout_s:g} s.") from None
    raise ModelError(f"{tier.name} ended its stream without the whole answer.")
