"""The service behind the gateway and the Python API: from a call to a reply and its trace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from stepdown.core.asked import Asked
from stepdown.core.call import Call, Choice, Reply
from stepdown.core.decide import Decision
from stepdown.core.digest import draw, seed_from
from stepdown.core.keeping import Keeping, without_texts
from stepdown.core.lock import Lock
from stepdown.core.policy import Action
from stepdown.core.request import Completion
from stepdown.core.tool_answer import NO_CALL, tool_calls
from stepdown.core.trace import Trace
from stepdown.errors import ModelError, Unavailable
from stepdown.ports.handler import Sink
from stepdown.serve.cascade import Cascade, Outcome
from stepdown.serve.planning import Plan, Planner
from stepdown.serve.ramp import Ramp
from stepdown.serve.relay import Relay
from stepdown.serve.step import Clock, Step


class Service:
    """Answer calls by the lock. `append` keeps each trace before its reply goes out.

    `keeping` says whose texts are in it; `ramp` which share of the traffic the policies answer.
    """

    def __init__(
        self,
        lock: Lock,
        steps: Mapping[str, Step],
        append: Callable[[Trace], None],
        *,
        keeping: Mapping[str, Keeping] = {},
        ramp: Ramp | None = None,
        baseline: str | None = None,
        today: Callable[[], str],
        clock: Clock = Clock(),
    ) -> None:
        self._lock = lock
        self._lock_digest = lock.digest
        self._seed = seed_from(self._lock_digest)
        self._steps = dict(steps)
        self._planner = Planner(lock, self._steps, today)
        self._append = append
        self._keeping = keeping
        self.ramp = ramp or Ramp(lock.project, baseline=baseline)
        self._baseline = baseline
        self._clock = clock

    async def answer(self, call: Call, sink: Sink | None = None) -> Reply:
        """Answer a call: its model name is a task, or `tier:NAME`.

        An answer that is certain to be sent goes to `sink` while it is written.
        """
        plan = self._plan(call)
        start = self._clock.seconds()
        cascade = self._cascade(call, plan)
        if sink is not None and plan.streams:
            self._relay(cascade, call, plan, sink, start)
        try:
            outcome = await cascade.run()
        except asyncio.CancelledError:
            self._keep(call, plan, _cut(cascade), start)
            raise
        return _reply(call, plan, outcome, self._keep(call, plan, outcome, start))

    async def run(self, task: str, text: str, call: Call) -> Reply:
        """Answer a bare text by a task's policy, as the Python API does."""
        messages = self._planner.step(task).task.contract.wrap(text)
        return await self.answer(msgspec.structs.replace(call, model=task, messages=messages))

    def knows(self, model: str) -> bool:
        """Return whether a caller may ask for this model."""
        return self._planner.knows(model)

    def models(self) -> Sequence[str]:
        """Return the tasks, then the tiers as `tier:NAME`."""
        return self._planner.models()

    def labels(self, task: str) -> Sequence[str]:
        """Return the labels that a task's answers can be, none where they are free."""
        return self._steps[task].task.labels if task in self._steps else ()

    def status(self) -> Mapping[str, Any]:
        """Return the state of each task's guarantee."""
        return {
            "lock": self._lock_digest,
            "tasks": {name: self._status(name) for name in self._steps},
        }

    def _status(self, name: str) -> dict[str, Any]:
        locked = self._lock.tasks[name]
        return {
            "guarantee": self._planner.state(locked),
            "promise": f"{locked.guarantee.promise} <= {locked.guarantee.level}",
            "tiers": list(locked.policy.tiers),
            "serving": str(self.ramp.exposure(name)),
            "review_by": locked.guarantee.review_by,
        }

    def _plan(self, call: Call) -> Plan:
        plan = self._planner.plan(call)
        return self.ramp.placed(call, plan) if plan.matched and plan.outside is None else plan

    def _drawn(self, call: Call, plan: Plan) -> float:
        return draw(self._seed, f"{plan.step.task.name}:{call.id}")

    def _cascade(self, call: Call, plan: Plan) -> Cascade:
        step, said = plan.step, (plan.messages, plan.asked, self._clock, plan.context)
        known = {"draw": self._drawn(call, plan), **step.foretold(plan.text, call.hints.segment)}
        return Cascade(step, plan.text, call.id, known, *said)

    def _relay(self, cascade: Cascade, call: Call, plan: Plan, sink: Sink, start: float) -> None:
        """Let the cascade send an answer while it is written."""

        def opening(tier: str, decision: Decision) -> Reply:
            coming = cascade.books.begun(tier, "call", decision.reason, self._clock.now())
            outcome = cascade.end(tier, decision)
            known = msgspec.structs.replace(outcome, attempts=(*outcome.attempts, coming))
            trace = self._trace(call, plan, known, start)
            return Reply(text="", model=call.model, trace=trace, ignored=_ignored(call, plan))

        verbatim = plan.asked is not None
        cascade.relay = Relay(sink, self._clock.seconds, verbatim=verbatim)
        cascade.opening = opening

    def _keep(self, call: Call, plan: Plan, outcome: Outcome, start: float) -> Trace:
        trace = self._trace(call, plan, outcome, start)
        self._append(trace)
        self.ramp.after(call, plan, outcome, trace, self._drawn(call, plan))
        return trace

    def _trace(self, call: Call, plan: Plan, outcome: Outcome, start: float) -> Trace:
        task, hints = plan.step.task, call.hints
        attempts = outcome.attempts
        first = outcome.first_byte_at
        trace = Trace(
            id=call.id,
            task=task.name,
            at=self._clock.now(),
            attempts=attempts,
            answered_by=outcome.answered_by,
            reason=outcome.decision.reason,
            latency_s=self._clock.seconds() - start,
            first_byte_s=None if first is None else first - start,
            cost_usd=_total([a.cost_usd for a in attempts]),
            baseline_tier=self._baseline,
            baseline_usd=self._baseline_usd(task.name, outcome),
            guarantee=plan.state,
            outside_guarantee=plan.outside or outcome.outside_guarantee,
            contract_matched=plan.matched,
            confidence=_confidence(outcome),
            lock_digest=self._lock_digest,
            message_id=hints.message_id,
            step=hints.step or task.name,
            arm=plan.arm,
            session=plan.session or self.ramp.session(call),
            input=plan.text,
            answer=outcome.answer,
        )
        return trace if self._keeps_texts(task.name, call.id) else without_texts(trace)

    def _keeps_texts(self, task: str, trace_id: str) -> bool:
        keeping = self._keeping.get(task, Keeping(self._steps[task].task.store))
        return keeping.texts(self.ramp.seed(task), trace_id)

    def _baseline_usd(self, task: str, outcome: Outcome) -> float | None:
        """What the baseline tier costs for this request: paid if it was called, else its mean."""
        for attempt in outcome.attempts:
            called = attempt.kind == "call" and attempt.failure is None
            if called and attempt.tier == self._baseline:
                return attempt.cost_usd
        mean = self._lock.tasks[task].expected.get("baseline_usd")
        return mean.value if mean else None


def _cut(cascade: Cascade) -> Outcome:
    """Return how a walk stands whose caller hung up: what was asked for has to be paid."""
    return cascade.end(None, Decision(Action("abstain"), "cancelled"))


def _ignored(call: Call, plan: Plan) -> tuple[str, ...]:
    """Return the caller's parameters that change nothing: decoding is what was certified."""
    if plan.asked is not None:
        return ()
    asked, unsaid = call.asked, Asked()
    set_here = [n for n in _DECODING if getattr(asked, n) != getattr(unsaid, n)]
    return (*set_here, *asked.extra)


_DECODING = ("max_tokens", "temperature", "top_p", "seed", "stop", "tool_choice", "parallel_tools")


def _confidence(outcome: Outcome) -> float | None:
    by = outcome.answered_by
    calls = [a for a in outcome.attempts if a.kind == "call" and a.tier == by]
    return calls[-1].confidence if calls else None


def _total(costs: Sequence[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _reply(call: Call, plan: Plan, outcome: Outcome, trace: Trace) -> Reply:
    done = outcome.completion
    if done is None or outcome.answer is None:
        raise _no_answer(plan, outcome)
    sent = _sent(call, plan, done, outcome.answer)
    return Reply(
        text=sent.text,
        model=call.model,
        trace=trace,
        finish_reason=sent.finish_reason,
        tool_calls=sent.tool_calls,
        logprobs=done.logprobs if plan.asked is not None and plan.asked.logprobs else None,
        usage=done.usage,
        recorded=done.recorded,
        note=_note(plan, outcome),
        ignored=_ignored(call, plan),
    )


def _sent(call: Call, plan: Plan, done: Completion, answer: str) -> Choice:
    """Return the answer in the caller's shape: calls are native where the caller sent tools."""
    task = plan.step.task
    if task.kind != "tool_call":
        text = task.contract.render(answer)
        return Choice(text=text, finish_reason=done.finish_reason, tool_calls=done.tool_calls)
    if not call.asked.tools:
        return Choice(text=task.contract.render(answer))
    if answer == NO_CALL:
        return Choice(text="" if done.text.strip() == NO_CALL else done.text)
    calls = done.tool_calls or tool_calls(answer)
    return Choice(text="", finish_reason="tool_calls", tool_calls=calls)


def _no_answer(plan: Plan, outcome: Outcome) -> ModelError:
    """Return the error of the last tier that failed, so that the caller knows whether to retry."""
    details = [a.failure_detail for a in outcome.attempts if a.failure_detail]
    why = details[-1] if details else f"No allowed tier was sure ({outcome.decision.reason})."
    kind = type(outcome.error) if outcome.error is not None else Unavailable
    return kind(f"No answer for the task {plan.step.task.name!r}. {why}")


def _note(plan: Plan, outcome: Outcome) -> str:
    """Say plainly when a tier that should have answered could not."""
    missed = [
        a
        for a in outcome.attempts
        if a.kind == "call" and a.failure in ("unavailable", "incapable")
    ]
    if missed:
        return f"answered by {outcome.answered_by}; {missed[-1].failure_detail}"
    if outcome.completion is not None and outcome.completion.recorded:
        return plan.step.tiers[outcome.answered_by or ""].recording
    return ""
