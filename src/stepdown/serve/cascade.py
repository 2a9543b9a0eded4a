"""Carry out a policy for one request: the one async loop. It decides nothing itself.

Every comparison with a threshold happens in `core.decide`; this module calls tiers, notes what
they said, and keeps the books of the attempts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from stepdown.core.answers import answer_key
from stepdown.core.confidence import Calibrator, read_signals
from stepdown.core.decide import Decision
from stepdown.core.derived import Derived
from stepdown.core.policy import Policy, confidence_of, polished, tiers_in
from stepdown.core.request import Completion, Message, Request, Tool
from stepdown.core.requesting import Answer, read_answer, request_for
from stepdown.core.task import Task, within
from stepdown.core.tier import Tier
from stepdown.core.trace import Attempt
from stepdown.core.walk import Walk
from stepdown.errors import ModelError, TimedOut, Unavailable
from stepdown.ports.model import Model


class Clock(Struct, frozen=True):
    """Time as an argument: seconds for durations, ISO 8601 in UTC for the books."""

    seconds: Callable[[], float] = time.perf_counter
    now: Callable[[], str] = lambda: datetime.now(UTC).isoformat(timespec="milliseconds")


class Step(Struct, frozen=True, kw_only=True):
    """All that is needed to answer one task: its policy, and a model for each tier."""

    task: Task
    policy: Policy
    tiers: Mapping[str, Tier]
    models: Mapping[str, Model]
    confidence: Mapping[str, Calibrator] = {}
    derived: Mapping[str, Derived] = {}


class Asked(Struct, frozen=True, kw_only=True):
    """What else the caller asked for; it reaches the tiers that get the caller's own request."""

    max_tokens: int | None = None
    temperature: float | None = None
    tools: tuple[Tool, ...] = ()


class Outcome(Struct, frozen=True, kw_only=True):
    """How a walk ended. `answer` is canonical; None when it abstained."""

    answer: str | None
    completion: Completion | None
    answered_by: str | None
    decision: Decision
    outside_guarantee: str | None
    attempts: tuple[Attempt, ...]
    error: ModelError | None = None


async def run(
    step: Step,
    text: str,
    *,
    request_id: str,
    draw: float,
    messages: tuple[Message, ...] | None = None,
    asked: Asked = Asked(),
    clock: Clock = Clock(),
) -> Outcome:
    """Answer `text` by the step's policy.

    Args:
        step: the task with its policy and models.
        text: the bare input.
        request_id: names the attempts.
        draw: uniform in [0, 1), for policies that mix.
        messages: the caller's own request, for tiers that have no prompt of their own.
        asked: the caller's own parameters, for the same tiers.
        clock: where time comes from.
    """
    return await _Cascade(step, text, request_id, draw, messages, asked, clock).run()


class _Cascade:
    """One request on its way through a policy."""

    def __init__(
        self,
        step: Step,
        text: str,
        request_id: str,
        draw: float,
        messages: tuple[Message, ...] | None,
        asked: Asked,
        clock: Clock,
    ) -> None:
        self.step = step
        self.text = text
        self.request_id = request_id
        self.messages = messages
        self.asked = asked
        self.error: ModelError | None = None
        self.clock = clock
        self.walk = Walk(step.policy, {"draw": draw}, step.derived)
        self.attempts: list[Attempt] = []
        self.answers: dict[str, tuple[str, Completion]] = {}
        self.outside: str | None = None
        self.refused: list[str] = []

    async def run(self) -> Outcome:
        self.note_what_cannot_be_called()
        while True:
            decision = self.walk.next()
            self.note(decision)
            action = decision.action
            if action.kind == "call":
                await self.call(action.target, decision)
            elif action.kind == "buy":
                self.walk.bought(action.target, None)
            elif action.kind == "polish":
                if (done := await self.polish(action.target, decision)) is not None:
                    return done
            else:
                return self.end(action.target or None, decision)

    def note_what_cannot_be_called(self) -> None:
        task = self.step.task
        for name in self.step.policy.tiers:
            if name not in self.step.models:
                self.walk.down(name, "unavailable")
            elif not within(self.step.tiers[name].place, task.boundary):
                self.walk.down(name, "boundary")
            elif not self.step.models[name].capabilities.polish:
                self.walk.down(f"polish {name}", "unavailable")

    def note(self, decision: Decision) -> None:
        """Write what was decided on the last attempt, as its evidence."""
        self.outside = self.outside or decision.outside_guarantee
        if not self.attempts:
            return
        last = self.attempts[-1]
        self.attempts[-1] = msgspec.structs.replace(
            last,
            decision=str(decision.action),
            reason=decision.reason,
            threshold=decision.threshold,
        )

    async def call(self, tier: str, decision: Decision) -> None:
        why = decision.reason
        self.forget_polish()
        request = self.request(tier, self.text)
        if self.messages is not None and self.step.task.prompt_for(tier) is None:
            request = self.as_asked(request)
        try:
            done, attempt = await self.ask(tier, request, "call", why)
        except Unavailable as error:
            self.book(self.failed(tier, "call", why, error))
            self.walk.down(tier, "unavailable")
        except ModelError as error:
            self.book(self.failed(tier, "call", why, error))
            self.walk.answered(tier, {}, error.kind)
        else:
            self.take(tier, done, attempt)

    def request(self, tier: str, text: str) -> Request:
        able = self.step.models[tier].capabilities
        return request_for(self.step.task, tier, self.request_id, text, capabilities=able)

    def as_asked(self, request: Request) -> Request:
        """Return the request as the caller wrote it."""
        asked = self.asked
        return msgspec.structs.replace(
            request,
            messages=self.messages or (),
            max_tokens=asked.max_tokens,
            temperature=request.temperature if asked.temperature is None else asked.temperature,
            tools=asked.tools,
        )

    def take(self, tier: str, done: Completion, attempt: Attempt) -> None:
        """Read a tier's answer and its signals."""
        answer = read_answer(self.step.task, tier, done)
        if done.tool_calls:
            answer = Answer(answer.text or "")
        signals = read_signals(done)
        calibrator = self.step.confidence.get(tier)
        confidence = calibrator.apply(signals) if calibrator else None
        if answer.text is not None:
            self.answers[tier] = (answer.text, done)
        self.book(
            msgspec.structs.replace(
                attempt,
                signals=signals,
                confidence=confidence,
                failure=answer.failure,
                answer=answer.text,
            )
        )
        named = {f"{tier}.{name}": value for name, value in signals.items()}
        key = None if answer.text is None else answer_key(answer.text)
        self.walk.answered(tier, {**named, confidence_of(tier): confidence}, answer.failure, key)

    async def ask(
        self, tier: str, request: Request, kind: str, why: str
    ) -> tuple[Completion, Attempt]:
        started = self.clock.now()
        timeout_s = self.step.tiers[tier].timeout_s
        model = self.step.models[tier]
        try:
            async with asyncio.timeout(timeout_s):
                done = await model.complete(request, timeout_s=timeout_s)
        except TimeoutError:
            raise TimedOut(f"{tier} did not answer within {timeout_s:g} s.") from None
        price = self.step.tiers[tier].price
        attempt = self.attempt(tier, kind, why, started)
        return done, msgspec.structs.replace(
            attempt,
            latency_s=done.latency_s,
            cost_usd=price.cost_usd(done.usage, done.latency_s),
            cost_basis=price.basis,
            usage=done.usage,
            recorded=done.recorded,
        )

    def failed(self, tier: str, kind: str, why: str, error: ModelError) -> Attempt:
        self.error = error
        attempt = self.attempt(tier, kind, why, self.clock.now())
        free = isinstance(error, Unavailable)
        return msgspec.structs.replace(
            attempt,
            cost_usd=0.0 if free else None,
            failure=error.kind,
            failure_detail=str(error),
        )

    def attempt(self, tier: str, kind: str, why: str, started_at: str) -> Attempt:
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
        )

    def book(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    def forget_polish(self) -> None:
        """A tier that could not polish the last draft may be able to polish the next one."""
        for name in self.refused:
            self.walk.unavailable.pop(f"polish {name}", None)
        self.refused.clear()

    async def polish(self, tier: str, decision: Decision) -> Outcome | None:
        """Let a tier rewrite the last draft; where that fails the draft stands.

        None when the tier cannot polish it at all: then the policy must say what comes next.
        """
        draft = tiers_in(self.walk.called)[-1]
        text = self.answers[draft][0]
        request = self.request(tier, text)
        try:
            done, attempt = await self.ask(tier, request, "polish", decision.reason)
        except Unavailable as error:
            self.book(self.failed(tier, "polish", decision.reason, error))
            self.walk.down(f"polish {tier}", "unavailable")
            self.refused.append(tier)
            return None
        except ModelError as error:
            self.book(self.failed(tier, "polish", decision.reason, error))
            return self.end(draft, _unpolished(decision))
        answer = read_answer(self.step.task, tier, done)
        self.book(msgspec.structs.replace(attempt, failure=answer.failure, answer=answer.text))
        if answer.text is None or answer.failure:
            return self.end(draft, _unpolished(decision))
        name = polished(draft, tier)
        self.answers[name] = (answer.text, done)
        return self.end(name, decision)

    def end(self, tier: str | None, decision: Decision) -> Outcome:
        answer, completion = self.answers.get(tier or "", (None, None))
        return Outcome(
            answer=answer,
            completion=completion,
            answered_by=tier,
            decision=decision,
            outside_guarantee=self.outside,
            attempts=tuple(self.attempts),
            error=self.error,
        )


def _unpolished(decision: Decision) -> Decision:
    """The draft stands because its polish failed, as the replays call it."""
    return msgspec.structs.replace(decision, reason="polish_failed")
