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
from stepdown.ports.model import Model, keeps_time

SLACK_S = 1.0  # models hold their own time; what does not is cut off so much later


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
    tier: Tier, model: Model, request: Request, boundary: Place, left_s: float | None = None
) -> Completion:
    """Return a tier's answer.

    Args:
        tier: whom to ask.
        model: its model.
        request: what to ask.
        boundary: how far the request may travel.
        left_s: what remains of the caller's deadline, None without one.

    Raises:
        Unavailable: the tier is outside `boundary`; nothing was sent.
        ModelError: what the model raised; TimedOut when it took longer than the tier may.
    """
    refuse_outside(tier, boundary)
    limit = _limit(tier, left_s)
    if keeps_time(model):
        return await model.complete(request, timeout_s=limit)
    try:
        async with asyncio.timeout(limit + SLACK_S):
            return await model.complete(request, timeout_s=limit)
    except TimeoutError:
        raise _late(tier, limit) from None


def _limit(tier: Tier, left_s: float | None) -> float:
    return tier.timeout_s if left_s is None else max(0.0, min(tier.timeout_s, left_s))


def _late(tier: Tier, limit_s: float) -> TimedOut:
    return TimedOut(f"{tier.name} did not answer within {limit_s:g} s.")


async def stream_in_time(
    tier: Tier,
    model: Model,
    request: Request,
    boundary: Place,
    take: Callable[[Chunk], Awaitable[None]],
    left_s: float | None = None,
) -> Completion:
    """Return a tier's answer; hand each piece to `take` as it comes.

    Raises:
        Unavailable: the tier is outside `boundary`; nothing was sent.
        ModelError: what the model raised, or that it ended without its whole answer; TimedOut
            when it took longer than the tier may.
    """
    refuse_outside(tier, boundary)
    limit = _limit(tier, left_s)
    said = model.stream(request, timeout_s=limit)
    try:
        async with asyncio.timeout(limit + SLACK_S), aclosing(said):
            async for chunk in said:
                await take(chunk)
                if chunk.completion is not None:
                    return chunk.completion
    except TimeoutError:
        raise _late(tier, limit) from None
    raise ModelError(f"{tier.name} ended its stream without the whole answer.")
