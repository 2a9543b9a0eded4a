"""The service behind the gateway and the Python API: from a call to a reply and its trace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from stepdown.core.answers import answer_key
from stepdown.core.call import Call, Choice, EmbedCall, EmbedReply, Reply
from stepdown.core.decide import Decision
from stepdown.core.derived import DRAW
from stepdown.core.digest import draw, seed_from
from stepdown.core.keeping import Keeping, bare
from stepdown.core.lock import Lock
from stepdown.core.outline import outline
from stepdown.core.policy import Action
from stepdown.core.task import Task
from stepdown.core.trace import Attempt, Trace
from stepdown.core.withdrawal import Withdrawal
from stepdown.ports.handler import Sink
from stepdown.serve.cascade import Cascade, Outcome
from stepdown.serve.embedding import Embedding
from stepdown.serve.gate import Gates
from stepdown.serve.mapping import Mapped
from stepdown.serve.planning import Plan, Planner
from stepdown.serve.ramp import Ramp
from stepdown.serve.relay import Relay
from stepdown.serve.rendering import ignored, rendered
from stepdown.serve.several import joined, run_all, total_usage
from stepdown.serve.step import Clock, Step
from stepdown.serve.telling import no_answer, note


class Service:
    """Answer calls by the lock. `append` keeps each trace before its reply goes out.

    `keeping` says whose texts are in it; `ramp` which share of the traffic the policies answer.
    `gates` stand before the tiers; their readings say what happened there.
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
        embedding: Embedding | None = None,
        mapped: Mapping[str, Mapped] = {},
        today: Callable[[], str],
        withdrawn: Callable[[str], Withdrawal | None] = lambda _task: None,
        gates: Gates | None = None,
        clock: Clock = Clock(),
    ) -> None:
        self.gates = gates or Gates({}, clock.seconds)
        self._lock = lock
        self._lock_digest = lock.digest
        self._seed = seed_from(self._lock_digest)
        self._steps = dict(steps)
        self._planner = Planner(lock, self._steps, today, mapped, withdrawn)
        self._embedding = embedding or Embedding({}, append, clock=clock)
        self._append = append
        self.keeping = keeping
        self.ramp = ramp or Ramp(lock.project, baseline=baseline)
        self._baseline = baseline
        self._clock = clock

    async def answer(self, call: Call, sink: Sink | None = None) -> Reply:
        """Answer a call: its model name is a task, or `tier:NAME`.

        An answer that is certain to be sent goes to `sink` while it is written.
        """
        self._embedding.refuse_chat(call.model)
        plan = self._plan(call)
        start = self._clock.seconds()
        cascades = self._cascades(call, plan)
        for cascade in cascades:
            cascade.deadline_at = _deadline_at(call, plan, start)
        if sink is not None and plan.streams:
            self._relay(cascades[0], call, plan, sink, start)
        try:
            outcomes = [await cascades[0].run()] if len(cascades) == 1 else await run_all(cascades)
        except asyncio.CancelledError:
            self._keep(call, plan, _cut(call.id, cascades), start)
            raise
        outcome = outcomes[0] if len(outcomes) == 1 else joined(call.id, outcomes)
        return _reply(call, plan, outcomes, self._keep(call, plan, outcome, start))

    async def run(self, task: str, text: str, call: Call) -> Reply:
        """Answer a bare text by a task's policy, as the Python API does."""
        messages = self._planner.step(task).task.contract.wrap(text)
        return await self.answer(msgspec.structs.replace(call, model=task, messages=messages))

    def knows(self, model: str) -> bool:
        """Return whether a caller may ask for this model."""
        return self._planner.knows(model) or model in self._embedding.models()

    def models(self) -> Sequence[str]:
        """Return the tasks, then the tiers as `tier:NAME`, then the names that are mapped."""
        return list(dict.fromkeys([*self._planner.models(), *self._embedding.models()]))

    async def embed(self, call: EmbedCall) -> EmbedReply:
        """Return a vector for each text, by the tier of an embed task."""
        return await self._embedding.embed(call)

    def labels(self, task: str) -> Sequence[str]:
        """Return the labels that a task's answers can be, none where they are free."""
        return self._steps[task].task.labels if task in self._steps else ()

    def status(self) -> Mapping[str, Any]:
        """Return the state of each task's guarantee."""
        chat = {name: self._status(name) for name in self._steps}
        return {"lock": self._lock_digest, "tasks": {**chat, **self._embedding.status()}}

    def _status(self, name: str) -> dict[str, Any]:
        locked = self._lock.tasks[name]
        said, level = locked.guarantee.promise, locked.guarantee.level
        alarm = self._planner.stepped_up(name)
        return {
            "guarantee": self._planner.state(name),
            "promise": None if level is None else f"{said} <= {level}",
            "tiers": list(locked.policy.tiers),
            "serving": str(self.ramp.exposure(name)),
            "review_by": locked.guarantee.review_by,
            "withdrawn": None if alarm is None else f"{alarm.reason}; {alarm.acts} answers",
        }

    def _plan(self, call: Call) -> Plan:
        plan = self._planner.plan(call)
        return self.ramp.placed(call, plan) if plan.matched and plan.outside is None else plan

    def _drawn(self, call: Call, plan: Plan) -> float:
        return draw(self._seed, f"{plan.step.task.name}:{call.id}")

    def _cascades(self, call: Call, plan: Plan) -> list[Cascade]:
        """Return as many walks as answers are asked for: nearly always one."""
        first = self._cascade(call, plan, call.id)
        more = [f"{call.id}.{number}" for number in range(2, call.asked.n + 1)]
        return [first, *(self._cascade(call, plan, name) for name in more)]

    def _cascade(self, call: Call, plan: Plan, name: str) -> Cascade:
        step = plan.step
        known = step.foretold(plan.text, call.hints.segment)
        if step.draws:
            known[DRAW] = self._drawn(call, plan)
        made = Cascade(
            step, plan.text, name, known, plan.messages, plan.asked, self._clock, plan.context
        )
        made.words.shape = plan.shape
        return made

    def _relay(self, cascade: Cascade, call: Call, plan: Plan, sink: Sink, start: float) -> None:
        """Let the cascade send an answer while it is written."""

        def opening(tier: str, decision: Decision) -> Reply:
            coming = cascade.books.begun(tier, "call", decision.reason, self._clock.now())
            outcome = cascade.end(tier, decision)
            known = msgspec.structs.replace(outcome, attempts=(*outcome.attempts, coming))
            trace = self._trace(call, plan, known, start)
            told = ignored(call, plan, plan.step.models[tier].capabilities)
            return Reply(text="", model=call.model, trace=trace, ignored=told)

        verbatim = plan.asked is not None
        cascade.relay = Relay(sink, self._clock.seconds, verbatim=verbatim)
        cascade.opening = opening

    def _keep(self, call: Call, plan: Plan, outcome: Outcome, start: float) -> Trace:
        trace = self._trace(call, plan, outcome, start)
        self._append(trace)
        self.ramp.after(call, plan, outcome, trace, partial(self._drawn, call, plan))
        return trace

    def _trace(self, call: Call, plan: Plan, outcome: Outcome, start: float) -> Trace:
        task, hints = plan.step.task, call.hints
        keeps_texts = self._keeps_texts(task, call.id)
        attempts = outcome.attempts if keeps_texts else bare(outcome.attempts)
        first = outcome.first_byte_at
        return Trace(
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
            outside_guarantee=plan.outside or outcome.outside_guarantee or _altered(plan, attempts),
            contract_matched=plan.matched,
            outline=None if plan.matched else outline(call.messages, call.asked),
            confidence=_confidence(outcome),
            lock_digest=self._lock_digest,
            message_id=hints.message_id,
            step=hints.step or task.name,
            arm=plan.arm,
            session=plan.session or self.ramp.session(call),
            tiers_agree=_tiers_agree(outcome.attempts, plan.step.policy.ceiling),
            caller_span=hints.caller_span,
            input=plan.text if keeps_texts else None,
            answer=outcome.answer if keeps_texts else None,
        )

    def _keeps_texts(self, task: Task, trace_id: str) -> bool:
        keeping = self.keeping.get(task.name) or Keeping(task.store)
        return keeping.texts(self.ramp.seed(task.name), trace_id)

    def _baseline_usd(self, task: str, outcome: Outcome) -> float | None:
        """What the baseline tier costs for this request: paid if it was called, else its mean."""
        for attempt in outcome.attempts:
            called = attempt.kind == "call" and attempt.failure is None
            if called and attempt.tier == self._baseline:
                return attempt.cost_usd
        locked = self._lock.tasks.get(task)
        mean = locked.expected.get("baseline_usd") if locked is not None else None
        return mean.value if mean else None


def _deadline_at(call: Call, plan: Plan, start: float) -> float | None:
    """When the caller stops waiting: as they say, else as the task does."""
    said = call.hints.deadline_s
    wait = plan.step.deadline_s if said is None else said
    return None if wait is None else start + wait


def _altered(plan: Plan, attempts: Sequence[Attempt]) -> str | None:
    """Return why an answer is not the certified policy's: a hint had it polished."""
    is_polished = plan.altered and any(attempt.kind == "polish" for attempt in attempts)
    return "customer_facing" if is_polished else None


def _cut(request_id: str, cascades: Sequence[Cascade]) -> Outcome:
    """Return how a walk stands whose caller hung up: what was asked for has to be paid."""
    cut = Decision(Action("abstain"), "cancelled")
    return joined(request_id, [cascade.end(None, cut) for cascade in cascades])


def _confidence(outcome: Outcome) -> float | None:
    by = outcome.answered_by
    for attempt in reversed(outcome.attempts):
        if attempt.kind == "call" and attempt.tier == by:
            return attempt.confidence
    return None


def _tiers_agree(attempts: Sequence[Attempt], ceiling: str) -> bool | None:
    """Say whether the tiers below the ceiling gave one answer, None where fewer than two did."""
    if len(attempts) < 2:  # nearly always: no answer is looked at
        return None
    said = [a.answer for a in attempts if a.kind == "call" and a.tier != ceiling]
    keys = [answer_key(one) for one in said if one is not None]
    return len(set(keys)) == 1 if len(keys) > 1 else None


def _total(costs: Sequence[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _reply(call: Call, plan: Plan, outcomes: Sequence[Outcome], trace: Trace) -> Reply:
    choices = [_choice(call, plan, outcome) for outcome in outcomes]
    outcome, first = outcomes[0], choices[0]
    by = plan.step.models.get(outcome.answered_by or "")
    return Reply(
        text=first.text,
        model=call.model,
        trace=trace,
        finish_reason=first.finish_reason,
        stop_sequence=first.stop_sequence,
        tool_calls=first.tool_calls,
        logprobs=first.logprobs,
        more=tuple(choices[1:]),
        usage=total_usage(outcomes),
        recorded=any(o.completion is not None and o.completion.recorded for o in outcomes),
        note=note(plan, outcome),
        ignored=ignored(call, plan, None if by is None else by.capabilities),
    )


def _choice(call: Call, plan: Plan, outcome: Outcome) -> Choice:
    if outcome.completion is None or outcome.answer is None:
        raise no_answer(plan, outcome)
    return rendered(call, plan, outcome.answer, outcome.completion)
