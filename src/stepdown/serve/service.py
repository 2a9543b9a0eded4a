"""The service behind the gateway and the Python API: from a call to a reply and its trace."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.core.call import Call, Reply
from stepdown.core.contract import Contract
from stepdown.core.digest import draw, seed_from
from stepdown.core.lock import Lock, LockedTask
from stepdown.core.policy import Policy, single
from stepdown.core.request import Message
from stepdown.core.task import Task
from stepdown.core.trace import GuaranteeState, Trace
from stepdown.errors import InputError, ModelError, Unavailable
from stepdown.serve.cascade import Asked, Outcome, run
from stepdown.serve.step import Clock, Step

DIRECT = "tier:"


class Service:
    """Answer calls by the lock. `append` keeps each trace before its reply goes out."""

    def __init__(
        self,
        lock: Lock,
        steps: Mapping[str, Step],
        append: Callable[[Trace], None],
        *,
        baseline: str | None = None,
        today: Callable[[], str],
        clock: Clock = Clock(),
    ) -> None:
        self._lock = lock
        self._lock_digest = lock.digest
        self._seed = seed_from(self._lock_digest)
        self._steps = dict(steps)
        self._append = append
        self._baseline = baseline
        self._today = today
        self._clock = clock

    async def answer(self, call: Call) -> Reply:
        """Answer a call: its model name is a task, or `tier:NAME` with the task in the metadata."""
        plan = self._plan(call)
        start = self._clock.seconds()
        outcome = await run(
            plan.step,
            plan.text,
            request_id=call.id,
            draw=draw(self._seed, f"{plan.step.task.name}:{call.id}"),
            messages=plan.messages,
            asked=_asked(call, plan),
            segment=call.metadata.get("segment"),
            clock=self._clock,
        )
        trace = self._trace(call, plan, outcome, self._clock.seconds() - start)
        self._append(trace)
        return _reply(call, plan, outcome, trace)

    async def run(self, task: str, text: str, call: Call) -> Reply:
        """Answer a bare text by a task's policy, as the Python API does."""
        messages = self._step(task).task.contract.wrap(text)
        return await self.answer(msgspec.structs.replace(call, model=task, messages=messages))

    def models(self) -> Sequence[str]:
        """Return the tasks, then the tiers as `tier:NAME`."""
        tiers = dict.fromkeys(t for step in self._steps.values() for t in step.models)
        return [*self._steps, *(DIRECT + tier for tier in tiers)]

    def status(self) -> Mapping[str, Any]:
        """Return the state of each task's guarantee."""
        return {
            "lock": self._lock_digest,
            "tasks": {name: self._status(name) for name in self._steps},
        }

    def _status(self, name: str) -> dict[str, Any]:
        locked = self._lock.tasks[name]
        return {
            "guarantee": self._state(locked),
            "promise": f"{locked.guarantee.promise} <= {locked.guarantee.level}",
            "tiers": list(locked.policy.tiers),
            "review_by": locked.guarantee.review_by,
        }

    def _state(self, locked: LockedTask) -> GuaranteeState:
        """A guarantee past its review date is withdrawn until it is renewed."""
        stated = locked.guarantee
        overdue = bool(stated.review_by) and self._today() > stated.review_by
        return "withdrawn" if stated.state == "certified" and overdue else stated.state

    def _step(self, name: str) -> Step:
        if name not in self._steps:
            known = list(self.models())
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."
            raise InputError(f"There is no model {name!r}.", hint)
        return self._steps[name]

    def _plan(self, call: Call) -> _Plan:
        if call.model.startswith(DIRECT):
            return self._direct(call)
        step = self._step(call.model)
        locked = self._lock.tasks[call.model]
        state = self._state(locked)
        text = step.task.contract.take_input(call.messages)
        if text is not None and not call.tools and state != "withdrawn":
            return _Plan(step=step, text=text, messages=call.messages, state=state)
        ceiling = msgspec.structs.replace(step, policy=_ceiling_only(step.policy))
        if text is not None and not call.tools:
            return _Plan(
                step=ceiling, text=text, messages=call.messages, state=state, outside="withdrawn"
            )
        return _Plan(
            step=msgspec.structs.replace(ceiling, task=_as_it_is(step.task)),
            text=_last_text(call.messages),
            messages=call.messages,
            state=state,
            outside="contract",
            matched=False,
        )

    def _direct(self, call: Call) -> _Plan:
        tier = call.model.removeprefix(DIRECT)
        name = call.metadata.get("task", "")
        if not name:
            raise InputError(
                f"{call.model!r} needs to know the task.",
                'Send metadata {"task": NAME}, or ask for the task itself.',
            )
        step = self._step(name)
        if tier not in step.models:
            raise InputError(
                f"The task {name!r} has no tier {tier!r}.", f"It has: {', '.join(step.models)}."
            )
        text = step.task.contract.take_input(call.messages)
        return _Plan(
            step=msgspec.structs.replace(step, policy=single(tier)),
            text=_last_text(call.messages) if text is None else text,
            messages=call.messages,
            state=self._state(self._lock.tasks[name]),
            outside="direct_call",
            matched=text is not None,
        )

    def _trace(self, call: Call, plan: _Plan, outcome: Outcome, latency_s: float) -> Trace:
        task = plan.step.task
        keep = task.store == "full"
        attempts = tuple(
            a if keep else msgspec.structs.replace(a, answer=None) for a in outcome.attempts
        )
        return Trace(
            id=call.id,
            task=task.name,
            at=self._clock.now(),
            attempts=attempts,
            answered_by=outcome.answered_by,
            reason=outcome.decision.reason,
            latency_s=latency_s,
            cost_usd=_total([a.cost_usd for a in attempts]),
            baseline_tier=self._baseline,
            baseline_usd=self._baseline_usd(task.name, outcome),
            guarantee=plan.state,
            outside_guarantee=plan.outside or outcome.outside_guarantee,
            contract_matched=plan.matched,
            confidence=_confidence(outcome),
            lock_digest=self._lock_digest,
            message_id=call.metadata.get("message_id"),
            step=call.metadata.get("step", task.name),
            input=plan.text if keep else None,
            answer=outcome.answer if keep else None,
        )

    def _baseline_usd(self, task: str, outcome: Outcome) -> float | None:
        """What the baseline tier costs for this request: paid if it was called, else its mean."""
        for attempt in outcome.attempts:
            called = attempt.kind == "call" and attempt.failure is None
            if called and attempt.tier == self._baseline:
                return attempt.cost_usd
        mean = self._lock.tasks[task].expected.get("baseline_usd")
        return mean.value if mean else None


def _asked(call: Call, plan: _Plan) -> Asked:
    """Return the caller's own parameters for a request that is passed on as it is.

    A request that matches its contract runs with the decoding that was certified.
    """
    if plan.matched:
        return Asked()
    return Asked(max_tokens=call.max_tokens, temperature=call.temperature, tools=call.tools)


class _Plan(Struct, frozen=True, kw_only=True):
    """What will be run for a call, and what is already known to lie outside the guarantee."""

    step: Step
    text: str
    messages: tuple[Message, ...]
    state: GuaranteeState
    outside: str | None = None
    matched: bool = True


def _as_it_is(task: Task) -> Task:
    """Return the task without its contract: an unmatched request is passed on, and so is its
    answer, because nobody knows which shape the caller expects.
    """
    return msgspec.structs.replace(task, contract=Contract(), labels=(), fields=())


def _ceiling_only(policy: Policy) -> Policy:
    rows = single(policy.ceiling).rows
    return Policy(tiers=policy.tiers, rows=rows)


def _last_text(messages: Sequence[Message]) -> str:
    users = [message.text for message in messages if message.role == "user"]
    if not users:
        raise InputError("The request has no user message.", "Send at least one.")
    return users[-1]


def _confidence(outcome: Outcome) -> float | None:
    by = outcome.answered_by
    calls = [a for a in outcome.attempts if a.kind == "call" and a.tier == by]
    return calls[-1].confidence if calls else None


def _total(costs: Sequence[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _reply(call: Call, plan: _Plan, outcome: Outcome, trace: Trace) -> Reply:
    done = outcome.completion
    if done is None or (outcome.answer is None and not done.tool_calls):
        raise _no_answer(plan, outcome)
    return Reply(
        text=plan.step.task.contract.render(outcome.answer or ""),
        model=call.model,
        trace=trace,
        finish_reason=done.finish_reason,
        tool_calls=done.tool_calls,
        usage=done.usage,
        recorded=done.recorded,
        note=_note(plan, outcome),
    )


def _no_answer(plan: _Plan, outcome: Outcome) -> ModelError:
    """Return the error of the last tier that failed, so that the caller knows whether to retry."""
    details = [a.failure_detail for a in outcome.attempts if a.failure_detail]
    why = details[-1] if details else f"No allowed tier was sure ({outcome.decision.reason})."
    kind = type(outcome.error) if outcome.error is not None else Unavailable
    return kind(f"No answer for the task {plan.step.task.name!r}. {why}")


def _note(plan: _Plan, outcome: Outcome) -> str:
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
