"""Answer embed tasks: a batch of texts to the one tier of a task, booked as one call.

Vectors of two models never mix, so nothing falls back on another tier.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.core.call import EmbedCall, EmbedReply
from stepdown.core.request import Usage
from stepdown.core.task import PLACES, Task, within
from stepdown.core.tier import Tier
from stepdown.core.trace import Attempt, GuaranteeState, Trace
from stepdown.errors import InputError, ModelError, TimedOut, Unavailable
from stepdown.ports.embedder import Embedder, Embeddings
from stepdown.serve.gate import Gate
from stepdown.serve.step import Clock

DIRECT = "tier:"


class EmbedStep(Struct, frozen=True, kw_only=True):
    """All that is needed to answer one embed task."""

    task: Task
    tier: Tier
    embedder: Embedder
    gate: Gate
    state: GuaranteeState = "none"


class Embedding:
    """Answer embed calls by the tier that the lock names. `append` keeps each trace."""

    def __init__(
        self,
        steps: Mapping[str, EmbedStep],
        append: Callable[[Trace], None],
        *,
        lock_digest: str | None = None,
        clock: Clock = Clock(),
    ) -> None:
        self.steps = steps
        self._append = append
        self._lock_digest = lock_digest
        self._clock = clock

    def models(self) -> Sequence[str]:
        """Return the embed tasks, then their tiers as `tier:NAME`."""
        tiers = dict.fromkeys(step.tier.name for step in self.steps.values())
        return [*self.steps, *(DIRECT + name for name in tiers)]

    def refuse_chat(self, model: str) -> None:
        """Refuse a chat request that names an embed task.

        Raises:
            InputError: says where it is answered.
        """
        if model in self.steps:
            raise InputError(f"{model!r} is an embed task.", "Ask POST /v1/embeddings for it.")

    def status(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the state of each embed task's guarantee; no ramp moves one, so it serves all."""
        return {
            name: {
                "guarantee": step.state,
                "promise": None,
                "tiers": [step.tier.name],
                "serving": "all",
                "review_by": "",
            }
            for name, step in self.steps.items()
        }

    async def embed(self, call: EmbedCall) -> EmbedReply:
        """Return a vector for each text.

        Raises:
            InputError: a model that embeds nothing, or dimensions that it does not give.
            ModelError: the tier could not answer.
        """
        step = self._step(call)
        _check_dimensions(call, step.embedder.dimensions)
        start, at = self._clock.seconds(), self._clock.now()
        try:
            done = await _in_time(step, call)
        except ModelError as error:
            self._append(self._trace(call, step, at, start, _failed(call, step, at, error)))
            raise
        except asyncio.CancelledError:
            self._append(self._trace(call, step, at, start, _cut(call, step, at)))
            raise
        trace = self._trace(call, step, at, start, _booked(call, step, at, done))
        self._append(trace)
        _check_dimensions(call, int(done.vectors.shape[1]))
        rows = done.vectors.astype("<f4", copy=False)
        vectors = tuple(row.tobytes() for row in rows)
        return EmbedReply(vectors=vectors, model=call.model, trace=trace, usage=done.usage)

    def _step(self, call: EmbedCall) -> EmbedStep:
        if not call.model.startswith(DIRECT):
            return self._known(call.model)
        tier = call.model.removeprefix(DIRECT)
        found = [n for n, step in self.steps.items() if step.tier.name == tier]
        named = call.hints.task or (found[0] if len(found) == 1 else "")
        if named in found:
            return self._known(named)
        raise InputError(
            f"{call.model!r} needs to know which embed task it is for.",
            f"Send metadata {{'task': NAME}}; it embeds for: {', '.join(found) or 'none'}.",
        )

    def _known(self, name: str) -> EmbedStep:
        if name not in self.steps:
            listed = ", ".join(self.steps) or "there is none"
            raise InputError(f"{name!r} is no embed task.", f"Embed tasks: {listed}.")
        return self.steps[name]

    def _trace(
        self, call: EmbedCall, step: EmbedStep, at: str, start: float, attempt: Attempt
    ) -> Trace:
        is_direct = call.model.startswith(DIRECT)
        return Trace(
            id=call.id,
            task=step.task.name,
            at=at,
            attempts=(attempt,),
            answered_by=None if attempt.failure else step.tier.name,
            reason=attempt.failure or "only_tier",
            latency_s=self._clock.seconds() - start,
            cost_usd=attempt.cost_usd,
            guarantee=step.state,
            outside_guarantee="direct_call" if is_direct else None,
            lock_digest=self._lock_digest,
            message_id=call.hints.message_id,
            caller_span=call.hints.caller_span,
            step=call.hints.step or step.task.name,
        )


async def _in_time(step: EmbedStep, call: EmbedCall) -> Embeddings:
    """Ask the embedder, within its time and the boundary, which a hint may draw closer."""
    task, tier = step.task, step.tier
    boundary = min(task.boundary, call.hints.boundary or task.boundary, key=PLACES.index)
    if not within(tier.place, boundary):
        raise Unavailable(f"{tier.name} is outside the boundary {boundary!r}.")
    limit_s = min(tier.timeout_s, call.hints.deadline_s or tier.timeout_s)
    try:
        async with asyncio.timeout(limit_s), step.gate.passed(limit_s) as waited_s:
            return await step.embedder.embed(call.texts, timeout_s=limit_s - waited_s)
    except TimeoutError:
        raise TimedOut(f"{tier.name} did not answer within {limit_s:g} s.") from None


def _check_dimensions(call: EmbedCall, given: int | None) -> None:
    """A shorter vector is another vector: what was certified is sent, or nothing."""
    if call.dimensions is not None and given is not None and call.dimensions != given:
        raise InputError(
            f"{call.model!r} gives vectors of {given} dimensions, not {call.dimensions}.",
            f"Leave `dimensions` out, or send {given}.",
        )


def _begun(call: EmbedCall, step: EmbedStep, at: str) -> Attempt:
    return Attempt(
        id=f"{call.id}/1",
        trace_id=call.id,
        number=1,
        tier=step.tier.name,
        started_at=at,
        tier_digest=step.embedder.digest,
    )


def _booked(call: EmbedCall, step: EmbedStep, at: str, done: Embeddings) -> Attempt:
    price = step.tier.price
    usage = msgspec.structs.replace(done.usage, output_tokens=done.usage.output_tokens or 0)
    return msgspec.structs.replace(
        _begun(call, step, at),
        latency_s=done.latency_s,
        cost_usd=price.cost_usd(usage, done.latency_s),
        cost_basis=price.basis,
        usage=usage if done.usage.input_tokens is not None else Usage(),
        decision=f"accept {step.tier.name}",
        reason="only_tier",
    )


def _failed(call: EmbedCall, step: EmbedStep, at: str, error: ModelError) -> Attempt:
    return msgspec.structs.replace(
        _begun(call, step, at),
        cost_usd=0.0 if error.free else None,
        failure=error.kind,
        failure_detail=str(error),
    )


def _cut(call: EmbedCall, step: EmbedStep, at: str) -> Attempt:
    """Book a call whose caller hung up: what the tier was asked may have to be paid."""
    return msgspec.structs.replace(_begun(call, step, at), failure="cancelled")
