"""Run the policy beside an answer that the caller already has, and compare the two.

Off the caller's path: a bounded queue, dropped and counted when it is full or the budget is
spent; nothing here can fail or delay an answer. It does not know who chose what to shadow. Audits
(`serve.audits`) wait in the same queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from msgspec import Struct

from stepdown.core.answers import answer_key
from stepdown.core.beside import Shadow
from stepdown.core.digest import digest
from stepdown.core.request import Completion, Context, Message
from stepdown.core.requesting import read_answer
from stepdown.core.task import TEXTS as TEXT
from stepdown.core.tier import Price
from stepdown.core.trace import Attempt
from stepdown.serve.cascade import Outcome, run
from stepdown.serve.heard import Heard
from stepdown.serve.step import Clock, Step

SUFFIX = "~shadow"
_log = logging.getLogger("stepdown.shadow")


class Job(Protocol):
    """What waits in the queue: it runs beside an answer, and says what it was if it never ran."""

    @property
    def step(self) -> Step:
        """What it needs to run."""
        ...

    @property
    def trace_id(self) -> str:
        """The request that it runs beside."""
        ...

    async def run(self, clock: Clock) -> Shadow:
        """Run it."""
        ...

    def lost(self, why: str, at: str) -> Shadow | None:
        """Return the record of a run that never came to its end, None where none is kept."""
        ...


class Answered(Struct, frozen=True, kw_only=True):
    """A request of today's arm with its answer: all that the policy needs to run beside it."""

    step: Step
    text: str
    trace_id: str
    draw: float
    messages: tuple[Message, ...]
    tier: str
    completion: Completion
    latency_s: float
    cost_usd: float | None
    lock_digest: str
    segment: str | None = None
    session: str | None = None
    context: Context = Context()

    async def run(self, clock: Clock) -> Shadow:
        """Run the policy."""
        return await shadow_of(self, clock)

    def lost(self, why: str, at: str) -> Shadow | None:
        """A shadow that did not run is counted only."""
        return None


class Budget(Struct, frozen=True, kw_only=True):
    """Dollars that shadow runs may cost; `spent` returns what a task's did (today, this month).

    `spent` must not block: it may be some seconds old, and then the last runs go over it.
    """

    usd_per_day: float | None = None
    usd_per_month: float | None = None
    spent: Callable[[str], tuple[float, float]] = lambda _task: (0.0, 0.0)

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self.usd_per_day is not None or self.usd_per_month is not None

    def left(self, task: str) -> bool:
        """Say whether another run may begin."""
        if not self.limited:
            return True
        day, month = self.spent(task)
        return not (_over(day, self.usd_per_day) or _over(month, self.usd_per_month))


def _over(spent: float, limit: float | None) -> bool:
    return limit is not None and spent >= limit


class Shadows:
    """Run what is offered, `workers` at a time, at most `most` waiting."""

    def __init__(
        self,
        note: Callable[[Shadow], None],
        *,
        budgets: Mapping[str, Budget] = {},
        most: int = 256,
        workers: int = 2,
        clock: Clock = Clock(),
    ) -> None:
        self._note = note
        self._budgets = budgets
        self._most = most
        self._workers = workers
        self._clock = clock
        self._queue: asyncio.Queue[Job] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.dropped: Counter[tuple[str, str]] = Counter()  # (task, why)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return 0 if self._queue is None else self._queue.qsize()

    def offer(self, answered: Answered) -> bool:
        """Take a request to shadow, or count why not. Returns at once."""
        if (why := self._refused(answered)) is not None:
            self.dropped[answered.step.task.name, why] += 1
            return False
        return self.put(answered)

    def put(self, job: Job) -> bool:
        """Let a job wait, whatever it costs, or count that there is no room."""
        if self.waiting >= self._most:
            self._drop(job, "full")
            return False
        self._opened().put_nowait(job)
        return True

    def _drop(self, job: Job, why: str) -> None:
        self.dropped[job.step.task.name, why] += 1
        if (record := job.lost(why, self._clock.now())) is not None:
            self._note(record)

    def _refused(self, answered: Answered) -> str | None:
        task = answered.step.task.name
        budget = self._budgets.get(task, Budget())
        if budget.limited and _unpriced(answered.step):
            return "unpriced"  # what it costs would be unknown, so no budget could hold it
        return None if budget.left(task) else "budget"

    def _opened(self) -> asyncio.Queue[Job]:
        """Open the queue in the loop that is running, at the first offer."""
        if self._queue is None:
            self._queue = asyncio.Queue()
            works = [self._work(self._queue) for _ in range(self._workers)]
            self._tasks = [asyncio.create_task(work) for work in works]
        return self._queue

    async def _work(self, queue: asyncio.Queue[Job]) -> None:
        while True:
            job = await queue.get()
            try:
                self._note(await job.run(self._clock))
            except asyncio.CancelledError:
                self._drop(job, "stopped")
                raise
            except Exception:  # noqa: BLE001 the edge: a shadow must never end the worker
                _log.warning("a shadow of %s failed", job.trace_id, exc_info=True)
                self._drop(job, "failed")
            finally:
                queue.task_done()

    async def drain(self) -> None:
        """Wait until nothing is left to run."""
        if self._queue is not None:
            await self._queue.join()

    async def aclose(self) -> None:
        """Stop; what still waits is dropped and counted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._queue is not None and not self._queue.empty():
            self._drop(self._queue.get_nowait(), "stopped")
        self._queue, self._tasks = None, []


def _unpriced(step: Step) -> bool:
    named = [step.tiers[name] for name in step.policy.tiers if name in step.models]
    return any(tier.price == Price() and tier.place != "embedded" for tier in named)


async def shadow_of(answered: Answered, clock: Clock) -> Shadow:
    """Return how the policy would have answered, beside what the caller got.

    Where the policy asks today's model what the caller's request asked it, the answer that is
    there is heard again and paid for once.
    """
    heard = Heard(answered.tier, answered.messages, answered.completion)
    start = clock.seconds()
    outcome = await run(
        heard.within(answered.step),
        answered.text,
        request_id=f"{answered.trace_id}{SUFFIX}",
        draw=answered.draw,
        messages=answered.messages,
        segment=answered.segment,
        clock=clock,
        context=answered.context,
    )
    return _record(answered, outcome, heard, clock, clock.seconds() - start)


def _record(
    answered: Answered, outcome: Outcome, heard: Heard, clock: Clock, latency_s: float
) -> Shadow:
    task = answered.step.task
    theirs = read_answer(task, answered.tier, answered.completion, answered.context).text
    agreed, why_not = _agreed(answered, outcome.answer, theirs)
    return Shadow(
        id=f"{answered.trace_id}{SUFFIX}",
        trace_id=answered.trace_id,
        task=task.name,
        at=clock.now(),
        lock_digest=answered.lock_digest,
        caller_tier=answered.tier,
        answered_by=outcome.answered_by,
        reason=outcome.decision.reason,
        agreed=agreed,
        why_not=why_not,
        latency_s=_waited(outcome.attempts, latency_s),
        caller_latency_s=answered.latency_s,
        cost_usd=_total(a for a in outcome.attempts if not heard.is_(a)),
        policy_usd=_total(outcome.attempts),
        caller_usd=answered.cost_usd,
        confidence=_confidence(outcome),
        outside_guarantee=outcome.outside_guarantee,
        session=answered.session,
        attempts=outcome.attempts,
        input_digest=digest(answered.text),
        input=answered.text,
        answer=outcome.answer,
        caller_answer=theirs,
    )


def _agreed(answered: Answered, ours: str | None, theirs: str | None) -> tuple[bool | None, str]:
    """Compare two answers; a policy that gives none disagrees with one that does."""
    if theirs is None:
        return None, "unreadable"
    if answered.step.task.kind in TEXT:
        return None, "free_text"
    return (ours is not None and answer_key(ours) == answer_key(theirs)), ""


def _waited(attempts: tuple[Attempt, ...], latency_s: float) -> float | None:
    """What a caller would have waited: the attempts' own times, where one was heard again."""
    times = [attempt.latency_s for attempt in attempts]
    known = [time for time in times if time is not None]
    return max(latency_s, sum(known)) if len(known) == len(times) else None


def _total(attempts: Iterable[Attempt]) -> float | None:
    costs = [attempt.cost_usd for attempt in attempts]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _confidence(outcome: Outcome) -> float | None:
    found = [a for a in outcome.attempts if a.kind == "call" and a.tier == outcome.answered_by]
    return found[-1].confidence if found else None
