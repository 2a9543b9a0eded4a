"""The books of one request: every attempt, its price, why it was made, what was decided on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from stepdown.core.decide import Decision
from stepdown.core.request import Chunk, Completion, Request
from stepdown.core.trace import Attempt
from stepdown.errors import ModelError
from stepdown.serve.asking import complete_in_time, stream_in_time
from stepdown.serve.signals import Purchase
from stepdown.serve.step import Clock, Step

Take = Callable[[Chunk], Awaitable[None]]
CUT = ModelError("The caller hung up before the answer was whole.")


class Books:
    """Attempts in order; `outside` is the first thing that the policy did not foresee."""

    def __init__(self, step: Step, request_id: str, clock: Clock) -> None:
        self.step = step
        self.request_id = request_id
        self.now = clock.now
        self.attempts: list[Attempt] = []
        self.outside: str | None = None
        self.error: ModelError | None = None

    def note(self, decision: Decision) -> None:
        """Write what was decided on the last attempt, as its evidence."""
        self.outside = self.outside or decision.outside_guarantee
        if not self.attempts:
            return
        last, derived = self.attempts[-1], self._derived(decision)
        self.attempts[-1] = msgspec.structs.replace(
            last,
            decision=str(decision.action),
            reason=decision.reason,
            threshold=decision.threshold,
            signals={**last.signals, **derived} if derived else last.signals,
        )

    def _derived(self, decision: Decision) -> dict[str, float | None]:
        """The value of a derived signal that decided: no attempt holds it otherwise."""
        name = decision.signal
        return {name: decision.value} if name is not None and name in self.step.derived else {}

    async def ask(
        self,
        tier: str,
        request: Request,
        kind: str,
        why: str,
        take: Take | None = None,
        left_s: float | None = None,
    ) -> tuple[Completion, Attempt]:
        """Ask a tier; return what it said and the attempt, which is not booked yet.

        With `take` the answer is handed over in pieces as well, as it is written. `left_s` is what
        remains of the caller's deadline. A caller who hangs up is booked here.
        """
        started = self.now()
        place, model = self.step.tiers[tier], self.step.models[tier]
        boundary = self.step.task.boundary
        try:
            if take is None:
                done = await complete_in_time(place, model, request, boundary, left_s)
            else:
                done = await stream_in_time(place, model, request, boundary, take, left_s)
        except asyncio.CancelledError:
            self.failed(tier, kind, why, CUT, "cancelled")
            raise
        price = place.price
        return done, self.begun(
            tier,
            kind,
            why,
            started,
            latency_s=done.latency_s,
            first_token_s=done.first_token_s,
            cost_usd=None if done.unpriced else price.cost_usd(done.usage, done.latency_s),
            retries=done.retries,
            cost_basis=price.basis,
            usage=done.usage,
            recorded=done.recorded,
        )

    def bought(self, name: str, tier: str, why: str, started_at: str, done: Purchase) -> None:
        """Book a signal that was bought, whatever came of it."""
        self.book(
            self.begun(
                tier,
                "buy",
                why,
                started_at,
                latency_s=done.latency_s,
                cost_usd=done.cost_usd,
                cost_basis=self.step.tiers[tier].price.basis,
                usage=done.usage,
                signals={name: done.value},
                failure=done.failure,
                failure_detail=done.detail,
                recorded=done.recorded,
            )
        )

    def failed(
        self,
        tier: str,
        kind: str,
        why: str,
        error: ModelError,
        failure: str | None = None,
        *,
        began: bool = False,
    ) -> None:
        """Book a call that failed; only one that was refused is known to be free.

        One that `began` to answer was not refused, whatever it says.
        """
        self.error = error
        self.book(
            self.begun(
                tier,
                kind,
                why,
                self.now(),
                cost_usd=0.0 if error.free and not began else None,
                retries=error.retries,
                failure=failure or error.kind,
                failure_detail=str(error),
            )
        )

    def begun(self, tier: str, kind: str, why: str, started_at: str, **known: Any) -> Attempt:
        """Return the next attempt as it begins, with what is `known` of it besides."""
        number = len(self.attempts) + 1
        return Attempt(
            id=f"{self.request_id}/{number}",
            trace_id=self.request_id,
            number=number,
            tier=tier,
            kind=kind,  # type: ignore[arg-type]
            why=why,
            started_at=started_at,
            tier_digest=self.step.models[tier].digest,
            **known,
        )

    def book(self, attempt: Attempt) -> None:
        """Add an attempt."""
        self.attempts.append(attempt)
