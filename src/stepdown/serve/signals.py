"""Buy a signal: ask a tier for samples, a verdict or its confidence. The same live and for evals.

What it costs is in what it returns. A signal that fails is unknown: the policy goes on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from msgspec import Struct

from stepdown.core.bought import Bought, agreement_of, stated_confidence, verdict_of
from stepdown.core.fitness import lacks
from stepdown.core.purchases import purchase_requests
from stepdown.core.request import Completion, Request, Usage
from stepdown.core.requesting import read_answer
from stepdown.core.task import Place, Task
from stepdown.core.tier import Tier
from stepdown.errors import ModelError
from stepdown.ports.model import Model
from stepdown.serve.asking import complete_in_time

Said = Completion | ModelError


class Purchase(Struct, frozen=True, kw_only=True):
    """What was bought: `value` in 0..1, None when it is unknown; then `failure` says why.

    `latency_s` is what was waited for all calls together, `cost_usd` what they cost, both None
    when a part is unknown.
    """

    value: float | None = None
    latency_s: float | None = None
    cost_usd: float | None = None
    usage: Usage = Usage()
    recorded: bool = False
    failure: str | None = None
    detail: str | None = None


async def purchase(
    bought: Bought,
    task: Task,
    tier: Tier,
    model: Model,
    *,
    request_id: str,
    source: str,
    answer: str,
    estimate: Callable[[str], int] | None = None,
    left_s: float | None = None,
) -> Purchase:
    """Return the signal about `answer` to `source`, asked of `bought.tier` (`tier`, `model`).

    `estimate` counts tokens, so that a text longer than the tier's context is not sent.
    """
    able = model.capabilities
    requests = purchase_requests(bought, task, request_id, source, answer, capabilities=able)
    if not able.polish:
        return _not_asked("unavailable", f"{tier.name} can only give its own answer")
    if (why := lacks(requests[0], able, estimate)) is not None:
        return _not_asked("incapable", why)
    said = await _ask_all(tier, model, requests, task.boundary, left_s)
    paid = _paid(tier, said)
    value = _value(bought, task, answer, [one for one in said if isinstance(one, Completion)])
    if paid.failure is not None or value is not None:
        return _with_value(paid, None if paid.failure else value)
    return _with_value(paid, None, "invalid_output", f"{tier.name} gave no readable signal")


def _not_asked(failure: str, why: str) -> Purchase:
    return Purchase(latency_s=0.0, cost_usd=0.0, failure=failure, detail=f"{why}.")


def _with_value(
    paid: Purchase, value: float | None, failure: str | None = None, detail: str | None = None
) -> Purchase:
    return Purchase(
        value=value,
        latency_s=paid.latency_s,
        cost_usd=paid.cost_usd,
        usage=paid.usage,
        recorded=paid.recorded,
        failure=failure or paid.failure,
        detail=detail or paid.detail,
    )


async def _ask_all(
    tier: Tier, model: Model, requests: Sequence[Request], boundary: Place, left_s: float | None
) -> list[Said]:
    """Ask a hosted tier all at once, one in this process one after the other: it has one worker."""
    if tier.place == "embedded":
        return [await _ask(tier, model, request, boundary, left_s) for request in requests]
    asked = (_ask(tier, model, request, boundary, left_s) for request in requests)
    return list(await asyncio.gather(*asked))


async def _ask(
    tier: Tier, model: Model, request: Request, boundary: Place, left_s: float | None
) -> Said:
    try:
        return await complete_in_time(tier, model, request, boundary, left_s)
    except ModelError as error:
        return error


def _value(bought: Bought, task: Task, answer: str, said: Sequence[Completion]) -> float | None:
    if not said:
        return None
    if bought.kind == "vote":
        return agreement_of(answer, [read_answer(task, bought.tier, one).text for one in said])
    return verdict_of(said[0]) if bought.kind == "judge" else stated_confidence(said[0])


def _paid(tier: Tier, said: Sequence[Said]) -> Purchase:
    """Return what the calls cost together; one that failed may have been paid for."""
    done = [one for one in said if isinstance(one, Completion)]
    errors = [one for one in said if isinstance(one, ModelError)]
    costs = [
        None if one.unpriced else tier.price.cost_usd(one.usage, one.latency_s) for one in done
    ]
    costs += [0.0 if error.free else None for error in errors]
    waited = [one.latency_s for one in done] + [None for _ in errors]
    return Purchase(
        latency_s=_together(waited, max if tier.place != "embedded" else sum),
        cost_usd=_together(costs, sum),
        usage=_usage([one.usage for one in done]),
        recorded=any(one.recorded for one in done),
        failure=_failure(errors, bool(done)),
        detail=str(errors[0]) if errors else None,
    )


def _failure(errors: Sequence[ModelError], some_answered: bool) -> str | None:
    """The kind of the failure; `unavailable` says that nothing was paid."""
    kinds = [error.kind for error in errors]
    if not kinds:
        return None
    paid = [kind for kind in kinds if kind != "unavailable"]
    if paid:
        return paid[0]
    return "provider_error" if some_answered else "unavailable"


def _together(
    values: Sequence[float | None], how: Callable[[Sequence[float]], float]
) -> float | None:
    known = [value for value in values if value is not None]
    return how(known) if known and len(known) == len(values) else None


def _usage(parts: Sequence[Usage]) -> Usage:
    counts = {
        name: _counted([getattr(part, name) for part in parts])
        for name in Usage.__struct_fields__
        if name != "estimated"
    }
    return Usage(**counts, estimated=any(part.estimated for part in parts))


def _counted(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
