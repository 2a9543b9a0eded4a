"""Ask one tier one thing, within its time and the task's boundary.

It decides nothing and keeps no books. Every call of a tier goes through here, so the boundary is
held here too, whatever whoever calls it believes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from stepdown.core.request import Chunk, Completion, Request
from stepdown.core.task import Place, within
from stepdown.core.tier import Tier
from stepdown.errors import ModelError, TimedOut, Unavailable
from stepdown.ports.model import Model


def refuse_outside(tier: Tier, boundary: Place) -> None:
    """Refuse to send anything to a tier outside a boundary.

    Raises:
        Unavailable: names both.
    """
    if not within(tier.place, boundary):
        raise Unavailable(
            f"{tier.name} is at {tier.place!r}, outside the boundary {boundary!r} of the request."
        )


async def complete_in_time(
    tier: Tier, model: Model, request: Request, boundary: Place
) -> Completion:
    """Return a tier's answer.

    Raises:
        Unavailable: the tier is outside `boundary`; nothing was sent.
        ModelError: what the model raised; TimedOut when it took longer than the tier may.
    """
    refuse_outside(tier, boundary)
    try:
        async with asyncio.timeout(tier.timeout_s):
            return await model.complete(request, timeout_s=tier.timeout_s)
    except TimeoutError:
        raise TimedOut(f"{tier.name} did not answer within {tier.timeout_s:g} s.") from None


async def stream_in_time(
    tier: Tier,
    model: Model,
    request: Request,
    boundary: Place,
    take: Callable[[Chunk], Awaitable[None]],
) -> Completion:
    """Return a tier's answer; hand each piece to `take` as it comes.

    Raises:
        Unavailable: the tier is outside `boundary`; nothing was sent.
        ModelError: what the model raised, or that it ended without its whole answer; TimedOut
            when it took longer than the tier may.
    """
    refuse_outside(tier, boundary)
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
