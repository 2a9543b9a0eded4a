"""Carry out a policy for one request: the one async loop. It decides nothing itself.

Every comparison with a threshold happens in `core.decide`; this module calls tiers and notes what
they said.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct

from stepdown.core.answers import answer_key
from stepdown.core.asked import Asked
from stepdown.core.call import Reply
from stepdown.core.decide import Decision
from stepdown.core.policy import Action, confidence_of, polished, tiers_in
from stepdown.core.request import Chunk, Completion, Context, Message
from stepdown.core.requesting import polish_request, read_polished
from stepdown.core.trace import Attempt
from stepdown.core.walk import Walk
from stepdown.errors import ModelError, Unavailable
from stepdown.serve.books import Books, Take
from stepdown.serve.relay import Relay
from stepdown.serve.signals import purchase
from stepdown.serve.step import Clock, Signals, Step
from stepdown.serve.words import Words

TICK_S = 0.001  # uvloop's timers count milliseconds, so a wait may end so much early


class Outcome(Struct, frozen=True, kw_only=True):
    """How a walk ended. `answer` is canonical; None when it abstained or broke off.

    `first_byte_at` is on the cascade's clock, None when nothing was sent while it was written.
    """

    answer: str | None
    completion: Completion | None
    answered_by: str | None
    decision: Decision
    outside_guarantee: str | None
    attempts: tuple[Attempt, ...]
    error: ModelError | None = None
    first_byte_at: float | None = None


async def run(
    step: Step,
    text: str,
    *,
    request_id: str,
    draw: float,
    messages: tuple[Message, ...] | None = None,
    asked: Asked | None = None,
    segment: str | None = None,
    clock: Clock = Clock(),
    context: Context = Context(),
) -> Outcome:
    """Answer `text` by the step's policy.

    Args:
        step: the task with its policy and models.
        text: the bare input.
        request_id: names the attempts.
        draw: uniform in [0, 1), for policies that mix.
        messages: the caller's own request, for tiers that have no prompt of their own.
        asked: the caller's own parameters where the request is passed on as it is: then every
            tier gets `messages` and these, and its answer is sent as it comes.
        segment: the kind of query that the caller says it is, for triage.
        clock: where time comes from.
        context: the tools that the call brings, where the task takes them from there.
    """
    known = {"draw": draw, **step.foretold(text, segment)}
    return await Cascade(step, text, request_id, known, messages, asked, clock, context).run()


class Cascade:
    """One request on its way through a policy.

    `relay`, where it is set before `run`, gets the pieces of an answer that is certain to be sent.
    `deadline_at`, likewise, is when the caller
    stops waiting, on the clock's seconds.
    """

    def __init__(
        self,
        step: Step,
        text: str,
        request_id: str,
        known: Signals,
        messages: tuple[Message, ...] | None = None,
        asked: Asked | None = None,
        clock: Clock = Clock(),
        context: Context = Context(),
    ) -> None:
        self.step = step
        self.text = text
        self.request_id = request_id
        self.words = Words(step, text, request_id, messages, asked, context)
        self.walk = Walk(step.policy, known, step.derived)
        self.books = Books(step, request_id, clock)
        self.answers: dict[str, tuple[str, Completion]] = {}
        self.refused: list[str] = []
        self.relay: Relay | None = None
        self.opening: Callable[[str, Decision], Reply] | None = None
        self.deadline_at: float | None = None
        self.seconds = clock.seconds

    async def run(self) -> Outcome:
        """Do what the policy says until it has an answer, or nobody is left."""
        self.note_what_cannot_be_called()
        while True:
            self.note_the_time()
            decision = self.walk.next()
            self.books.note(decision)
            action = decision.action
            if action.kind == "call":
                if (done := await self.call(action.target, decision)) is not None:
                    return done
            elif action.kind == "buy":
                await self.buy(action.target, decision)
            elif action.kind == "polish":
                if (done := await self.polish(action.target, decision)) is not None:
                    return done
            else:
                return self.end(action.target or None, decision)

    def note_what_cannot_be_called(self) -> None:
        """Tell the walk which tiers are out of reach, and which cannot polish."""
        for name in self.step.policy.tiers:
            if (why := self.step.out_of_reach(name)) is not None:
                self.walk.down(name, why)
            elif self.step.policy.polishes and not self.step.models[name].capabilities.polish:
                self.walk.down(f"polish {name}", "unavailable")

    @property
    def left_s(self) -> float | None:
        """What remains of the caller's deadline, None without one."""
        if self.deadline_at is None:
            return None
        left = self.deadline_at - self.seconds()
        return left if left > TICK_S else 0.0

    def note_the_time(self) -> None:
        """Tell the walk how much time is left, and how much of it a tier takes."""
        if self.deadline_at is not None:
            self.walk.left_s, self.walk.needs_s = self.left_s, self.step.needs_s()

    async def call(self, tier: str, decision: Decision) -> Outcome | None:
        """Ask a tier; return how the walk ended where its answer was sent while it was written."""
        why = decision.reason
        self.forget_polish()
        request = self.words.request(tier)
        if (lack := self.words.lacks(tier, request)) is not None:
            self.books.failed(tier, "call", why, lack, "incapable")
            self.walk.down(tier, "incapable")
            return None
        try:
            done, attempt = await self.books.ask(
                tier, request, "call", why, self.piecewise(tier, decision), self.left_s
            )
        except ModelError as error:
            began = self.began
            self.books.failed(tier, "call", why, error, began=began)
            if began:
                return self.end(None, msgspec.structs.replace(decision, reason="broken_off"))
            self.passed_over(tier, error)
        else:
            self.take(tier, done, attempt)
            if self.began:
                return self.sent(tier, done)
        return None

    def passed_over(self, tier: str, error: ModelError) -> None:
        """Note that a tier gave no answer."""
        if isinstance(error, Unavailable):
            self.walk.down(tier, "unavailable")
        else:
            self.walk.answered(tier, {}, error.kind)

    @property
    def began(self) -> bool:
        """Whether the caller has seen a part of an answer."""
        return self.relay is not None and self.relay.began

    def piecewise(self, tier: str, decision: Decision) -> Take | None:
        """Return what takes the pieces of an answer that is certain to be sent, else None."""
        relay, opening = self.relay, self.opening
        if relay is None or opening is None or not self.step.models[tier].capabilities.stream:
            return None
        if not self.walk.will_send(tier):
            return None

        async def take(chunk: Chunk) -> None:
            await relay.take(chunk, lambda: opening(tier, decision))

        return take

    def sent(self, tier: str, done: Completion) -> Outcome:
        """End with an answer that the caller has; one that proved unusable is not covered."""
        decision = self.walk.next()
        self.books.note(decision)
        if (why := self.walk.invalid.get(tier)) is not None:
            decision = Decision(Action("accept", tier), why, outside_guarantee=why)
            self.books.outside = self.books.outside or why
            self.answers[tier] = (done.text.strip(), done)
        return self.end(tier, decision)

    def take(self, tier: str, done: Completion, attempt: Attempt) -> None:
        """Read a tier's answer and its signals."""
        answer = self.words.answer(tier, done)
        signals = self.words.signals(tier, done, answer.text)
        calibrator = self.step.confidence.get(tier)
        confidence = calibrator.apply(signals) if calibrator else None
        if answer.text is not None:
            self.answers[tier] = (answer.text, done)
        self.books.book(
            msgspec.structs.replace(
                attempt,
                signals=signals,
                confidence=confidence,
                failure=answer.failure,
                answer=answer.text,
            )
        )
        named = {f"{tier}.{name}": value for name, value in signals.items()}
        named[confidence_of(tier)] = confidence
        is_compared = self.step.compares and answer.text is not None
        key = answer_key(answer.text or "") if is_compared else None
        self.walk.answered(tier, named, answer.failure, key)

    async def buy(self, name: str, decision: Decision) -> None:
        """Buy a signal about an answer; where it cannot be had it is unknown."""
        bought = self.step.task.signals.get(name)
        draft = None if bought is None else self.answers.get(bought.about)
        if bought is None or draft is None or self.step.out_of_reach(bought.tier) is not None:
            self.walk.bought(name, None)
            return
        started = self.books.now()
        done = await purchase(
            bought,
            self.step.task,
            self.step.tiers[bought.tier],
            self.step.models[bought.tier],
            request_id=self.request_id,
            source=self.text,
            answer=draft[0],
            estimate=self.step.estimate,
            left_s=self.left_s,
        )
        self.books.bought(name, bought.tier, decision.reason, started, done)
        self.walk.bought(name, done.value)

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
        able = self.step.models[tier].capabilities
        request = polish_request(
            self.step.task,
            tier,
            self.request_id,
            self.text,
            self.answers[draft][0],
            capabilities=able,
        )
        try:
            if (lack := self.words.lacks(tier, request)) is not None:
                raise lack
            done, attempt = await self.books.ask(
                tier, request, "polish", decision.reason, left_s=self.left_s
            )
        except Unavailable as error:
            self.books.failed(tier, "polish", decision.reason, error)
            self.walk.down(f"polish {tier}", "unavailable")
            self.refused.append(tier)
            return None
        except ModelError as error:
            self.books.failed(tier, "polish", decision.reason, error)
            return self.end(draft, _unpolished(decision))
        answer = read_polished(self.step.task, tier, done)
        self.books.book(
            msgspec.structs.replace(attempt, failure=answer.failure, answer=answer.text)
        )
        if answer.text is None or answer.failure:
            return self.end(draft, _unpolished(decision))
        name = polished(draft, tier)
        self.answers[name] = (answer.text, done)
        return self.end(name, decision)

    def end(self, tier: str | None, decision: Decision) -> Outcome:
        """Return how the walk stands if it ends with what `tier` said."""
        answer, completion = self.answers.get(tier or "", (None, None))
        return Outcome(
            answer=answer,
            completion=completion,
            answered_by=tier,
            decision=decision,
            outside_guarantee=self.books.outside,
            attempts=tuple(self.books.attempts),
            error=self.books.error,
            first_byte_at=None if self.relay is None else self.relay.first_byte_at,
        )


def _unpolished(decision: Decision) -> Decision:
    """The draft stands because its polish failed, as the replays call it."""
    return msgspec.structs.replace(decision, reason="polish_failed")
