"""Audits: a small random share of what the policy answered is answered by the ceiling too.

The draw is a hash of a seed and the request's id: it can be made again, and it knows nothing of
confidence, answer or caller. Every request that is drawn leaves one record, audited or not, so that
what is missing is known. Audits wait in the queue of the shadow runs, off the caller's path.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from stepdown.core.answers import answer_key
from stepdown.core.beside import Shadow
from stepdown.core.digest import digest, draw
from stepdown.core.policy import single
from stepdown.core.request import Context, Message
from stepdown.core.task import TEXTS, Task
from stepdown.core.tier import Price
from stepdown.core.trace import Trace
from stepdown.serve.cascade import Outcome, run
from stepdown.serve.planning import Plan
from stepdown.serve.shadows import Shadows
from stepdown.serve.step import Clock, Step

SUFFIX = "~audit"
CEILING = "ceiling"  # why_not of a request that the ceiling had answered: nothing to lose
COVERED = (None, "raised")  # what may lie outside the guarantee, and is audited all the same
Loss = Callable[[Task, str, str, str], float | None]  # (task, input, kept, ceiling's) -> 0..1


class Purse(Struct, frozen=True, kw_only=True):
    """How often a task is audited, and whether its budget lets another audit begin.

    `begun` and `spent` are told when one begins and what it cost (None: unknown).
    """

    share: float = 0.0
    limited: bool = False
    left: Callable[[], bool] = lambda: True
    begun: Callable[[], None] = lambda: None
    spent: Callable[[float | None], None] = lambda _usd: None


def is_drawn(seed: int, trace_id: str, share: float) -> bool:
    """Say whether a request is drawn, with the chance `share`."""
    return draw(seed, f"audit:{trace_id}") < share


def unequal(task: Task, _text: str, kept: str, ceiling: str) -> float | None:
    """Return the loss of an answer that is right where it equals the ceiling's, None for prose."""
    if task.kind in TEXTS:
        return None
    return float(answer_key(kept) != answer_key(ceiling))


class Kept(Struct, frozen=True, kw_only=True):
    """An answer of the policy that was drawn: all that the ceiling needs to answer it too."""

    step: Step
    text: str
    trace_id: str
    messages: tuple[Message, ...]
    tier: str
    answer: str
    propensity: float
    loss: Loss
    spent: Callable[[float | None], None]
    latency_s: float
    cost_usd: float | None
    confidence: float | None
    lock_digest: str
    outside_guarantee: str | None = None
    segment: str | None = None
    session: str | None = None
    context: Context = Context()

    async def run(self, clock: Clock) -> Shadow:
        """Ask the ceiling what the caller asked, within the boundary of the caller."""
        start = clock.seconds()
        try:
            outcome = await self._asked(clock)
        except BaseException:
            self.spent(None)  # a purse that waits for it would let no other audit begin
            raise
        made = self._of(outcome, clock.now(), clock.seconds() - start)
        self.spent(made.cost_usd)
        return made

    async def _asked(self, clock: Clock) -> Outcome:
        return await run(
            replace(self.step, policy=single(self.step.policy.ceiling)),
            self.text,
            request_id=f"{self.trace_id}{SUFFIX}",
            draw=0.0,
            messages=self.messages,
            segment=self.segment,
            clock=clock,
            context=self.context,
        )

    def _of(self, outcome: Outcome, at: str, latency_s: float) -> Shadow:
        costs = [attempt.cost_usd for attempt in outcome.attempts]
        known = [cost for cost in costs if cost is not None]
        base = replace(
            self.base(at),
            answered_by=outcome.answered_by,
            latency_s=latency_s,
            cost_usd=sum(known) if len(known) == len(costs) else None,
            attempts=outcome.attempts,
            answer=outcome.answer,
        )
        if outcome.answer is None:
            return replace(base, why_not=_failure(outcome))
        loss = self.loss(self.step.task, self.text, self.answer, outcome.answer)
        if loss is None:
            return replace(base, why_not="not_scored")
        return replace(base, loss=loss, agreed=loss == 0)

    def base(self, at: str) -> Shadow:
        """Return the record as far as it is known before the ceiling was asked."""
        return Shadow(
            id=f"{self.trace_id}{SUFFIX}",
            trace_id=self.trace_id,
            task=self.step.task.name,
            at=at,
            ran="ceiling",
            lock_digest=self.lock_digest,
            caller_tier=self.tier,
            reason="audit",
            caller_latency_s=self.latency_s,
            caller_usd=self.cost_usd,
            confidence=self.confidence,
            outside_guarantee=self.outside_guarantee,
            session=self.session,
            propensity=self.propensity,
            input_digest=digest(self.text),
            input=self.text,
            caller_answer=self.answer,
        )

    def lost(self, why: str, at: str) -> Shadow | None:
        """Return the record of an audit that was drawn and never made."""
        is_known = why not in ("stopped", "failed")  # the ceiling may have been asked by then
        return replace(self.base(at), why_not=why, cost_usd=0.0 if is_known else None)


def _failure(outcome: Outcome) -> str:
    last = outcome.attempts[-1] if outcome.attempts else None
    return (last.failure if last is not None else None) or outcome.decision.reason


class Audits:
    """Draw what is audited, and let it wait beside the shadow runs."""

    def __init__(
        self,
        note: Callable[[Shadow], None],
        queue: Shadows,
        *,
        seed: Callable[[str], int],
        purse: Callable[[str], Purse],
        loss: Loss = unequal,
        clock: Clock = Clock(),
    ) -> None:
        self._note = note
        self._queue = queue
        self._seed = seed
        self._purse = purse
        self._loss = loss
        self._clock = clock

    def after(self, plan: Plan, outcome: Outcome, trace: Trace, segment: str | None) -> None:
        """Draw an answer of a policy that its guarantee covers, and audit it if it was kept."""
        purse = self._purse(trace.task)
        if purse.share <= 0 or not _is_covered(plan, outcome, trace):
            return
        if not is_drawn(self._seed(trace.task), trace.id, purse.share):
            return
        kept = self._kept(plan, outcome, trace, purse, segment)
        if kept.tier == plan.step.policy.ceiling:
            same = replace(kept.base(self._clock.now()), why_not=CEILING, answered_by=kept.tier)
            self._note(replace(same, loss=0.0, cost_usd=0.0))
        elif (why := _refused(kept.step, purse)) is not None:
            record = kept.lost(why, self._clock.now())
            assert record is not None
            self._note(record)
        elif self._queue.put(kept):
            purse.begun()

    def _kept(
        self, plan: Plan, outcome: Outcome, trace: Trace, purse: Purse, segment: str | None
    ) -> Kept:
        return Kept(
            step=plan.step,
            text=plan.text,
            trace_id=trace.id,
            messages=plan.messages,
            tier=outcome.answered_by or "",
            answer=outcome.answer or "",
            propensity=purse.share,
            loss=self._loss,
            spent=purse.spent,
            latency_s=trace.latency_s,
            cost_usd=trace.cost_usd,
            confidence=trace.confidence,
            lock_digest=trace.lock_digest or "",
            outside_guarantee=trace.outside_guarantee,
            segment=segment,
            session=trace.session,
            context=plan.context,
        )


def _is_covered(plan: Plan, outcome: Outcome, trace: Trace) -> bool:
    """Whether the promise is about this answer: the policy's own, by the contract, foreseen."""
    answered = outcome.answered_by is not None and outcome.answer is not None
    mine = plan.matched and plan.arm != "today"
    return answered and mine and trace.outside_guarantee in COVERED


def _refused(step: Step, purse: Purse) -> str | None:
    """Say why an audit may not begin; each reason is written into the record."""
    ceiling = step.policy.ceiling
    tier = step.tiers.get(ceiling)
    if (why := step.out_of_reach(ceiling)) is not None:
        return why
    if purse.limited and tier is not None and _unpriced(tier.price, tier.place):
        return "unpriced"  # what it costs would be unknown, so no budget could hold it
    return None if purse.left() else "budget"


def _unpriced(price: Price, place: str) -> bool:
    return price == Price() and place != "embedded"
