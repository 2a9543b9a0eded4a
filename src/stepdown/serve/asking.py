"""Ask one tier one thing, within its time; it decides nothing and keeps no books."""

from __future__ import annotations

import asyncio

from stepdown.core.request import Completion, Request
from stepdown.core.tier import Tier
from stepdown.errors import TimedOut
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
