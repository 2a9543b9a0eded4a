"""Several answers to one request: as many walks, booked as one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from stepdown.core.request import Usage
from stepdown.core.trace import Attempt
from stepdown.serve.cascade import Cascade, Outcome


async def run_all(cascades: Sequence[Cascade]) -> list[Outcome]:
    """Run the walks side by side; where one is cancelled all are."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(cascade.run()) for cascade in cascades]
    return [task.result() for task in tasks]


def joined(request_id: str, outcomes: Sequence[Outcome]) -> Outcome:
    """Return the first walk that failed, else the first, with the attempts of all of them."""
    failed = [outcome for outcome in outcomes if outcome.answer is None]
    attempts = [attempt for outcome in outcomes for attempt in outcome.attempts]
    outside = [o.outside_guarantee for o in outcomes if o.outside_guarantee is not None]
    return msgspec.structs.replace(
        (failed or outcomes)[0],
        attempts=tuple(_numbered(request_id, n, a) for n, a in enumerate(attempts, 1)),
        outside_guarantee=outside[0] if outside else None,
    )


def total_usage(outcomes: Sequence[Outcome]) -> Usage:
    """Return the tokens of all the answers that are sent; a count that one lacks is unknown."""
    first = outcomes[0].completion
    if len(outcomes) == 1 and first is not None:
        return first.usage
    told = [o.completion.usage if o.completion is not None else Usage() for o in outcomes]
    counts = {
        name: _sum([getattr(usage, name) for usage in told])
        for name in Usage.__struct_fields__
        if name.endswith("_tokens")
    }
    return Usage(**counts, estimated=any(usage.estimated for usage in told))


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _numbered(request_id: str, number: int, attempt: Attempt) -> Attempt:
    name = f"{request_id}/{number}"
    return msgspec.structs.replace(attempt, id=name, trace_id=request_id, number=number)
