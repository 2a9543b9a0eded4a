"""One call of a tier: wait for room, ask, wait again while it is full; every end is a value.

Retries of single requests are the adapter's: it knows the wire. What is decided here is how many
calls are in flight, and how long an eval, which can wait, waits for a provider that is full.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from stepdown.core.confidence import read_signals
from stepdown.core.request import Completion, Request
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import ModelError, Overloaded, TimedOut
from stepdown.evals.pace import Pace
from stepdown.ports.model import Model
from stepdown.ports.run_store import SavedCall


class Patience(Struct, frozen=True):
    """How long to wait for a tier that is full, and after how many failures in a row to give up.

    A provider that asks for a longer wait than `longest_wait_s` counts as failed at once.
    """

    overload_waits_s: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    give_up_after: int = 20
    longest_wait_s: float = 120.0


class Caller:
    """Calls one tier of one task, never faster than its pace allows."""

    def __init__(
        self, task: Task, tier: Tier, model: Model, pace: Pace, patience: Patience
    ) -> None:
        self._task = task
        self._tier = tier
        self._model = model
        self._pace = pace
        self._patience = patience
        self._clock: Callable[[], float] = pace.clock

    async def call(self, request: Request, key: str) -> SavedCall:
        """Return how the call ended.

        Raises:
            WeightsError: the tier's files are missing; no other call can end better.
        """
        started_s = self._clock()
        try:
            completion, asked_s = await self._patiently(request)
        except ModelError as error:
            waited_s = self._clock() - started_s if isinstance(error, TimedOut) else None
            return failed_call(key, request.id, error.kind, str(error), waited_s)
        return self._answered(key, request.id, completion, self._clock() - asked_s)

    async def _patiently(self, request: Request) -> tuple[Completion, float]:
        """Return the answer, and when it was asked for: time spent waiting is not latency."""
        for wait_s in self._patience.overload_waits_s:
            try:
                return await self._once(request)
            except Overloaded as full:
                after_s = full.retry_after_s or 0.0
                if after_s > self._patience.longest_wait_s:
                    raise
                await self._pace.sleep(max(wait_s, after_s))
        return await self._once(request)

    async def _once(self, request: Request) -> tuple[Completion, float]:
        entered_s = await self._pace.enter()
        answered = False
        try:
            done = await self._model.complete(request, timeout_s=self._tier.timeout_s)
            answered = not done.retries  # a try that the provider turned away is no room to grow
            if done.retries:
                self._pace.full(entered_s)
        except Overloaded as full:
            self._pace.full(entered_s, full.retry_after_s)
            raise
        finally:
            self._pace.leave(answered=answered)
        return done, entered_s

    def _answered(
        self, key: str, sample_id: str, completion: Completion, measured_s: float
    ) -> SavedCall:
        """Keep an answer without its log-probabilities: they are read now, and most of its size."""
        latency_s = measured_s if completion.latency_s is None else completion.latency_s
        recorded = self._tier.recorded or completion.recorded
        signals = read_signals(completion, self._task, self._tier.name)
        plain = completion.logprobs is None
        return SavedCall(
            key=key,
            sample_id=sample_id,
            completion=completion if plain else replace(completion, logprobs=None),
            signals=signals,
            latency_s=None if recorded else latency_s,
        )


def failed_call(
    key: str, sample_id: str, kind: str, detail: str, latency_s: float | None = None
) -> SavedCall:
    """Return a call that ended without an answer."""
    return SavedCall(key=key, sample_id=sample_id, latency_s=latency_s, failure=kind, detail=detail)
