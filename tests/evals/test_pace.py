"""The pace: down by half when a provider is full, up again slowly, never before it may."""

from __future__ import annotations

import asyncio

from eval_fakes import LABEL_TASK, PER_TOKEN, SMALL, USAGE, FakeModel, MemoryStore, samples

from stepdown.core.request import Completion, Request
from stepdown.errors import Overloaded
from stepdown.evals.harness import Patience, Terms, run
from stepdown.evals.pace import Pace


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until = self.now + seconds
        await asyncio.sleep(0)
        self.now = max(self.now, until)


async def test_an_answer_lets_a_little_more_in_and_a_refusal_halves() -> None:
    clock = Clock()
    pace = Pace(16, clock=clock, sleep=clock.sleep)
    entered = await pace.enter()
    pace.full(entered)
    assert pace.limit == 8.0
    pace.leave(answered=True)
    assert pace.limit == 8.125


async def test_calls_that_were_in_flight_together_cut_once() -> None:
    clock = Clock()
    pace = Pace(16, clock=clock, sleep=clock.sleep)
    entered = [await pace.enter() for _ in range(4)]
    clock.now = 1.0
    for each in entered:
        pace.full(each)
    assert (pace.limit, pace.cuts) == (8.0, 1)


async def test_nobody_enters_before_the_wait_that_was_asked_for_is_over() -> None:
    clock = Clock()
    pace = Pace(4, clock=clock, sleep=clock.sleep)
    pace.full(await pace.enter(), 30.0)
    pace.leave(answered=False)
    assert await pace.enter() == 30.0
    assert clock.slept == [30.0]


async def test_a_full_gate_lets_in_who_waits_when_somebody_leaves() -> None:
    clock = Clock()
    pace = Pace(1, clock=clock, sleep=clock.sleep)
    await pace.enter()
    waiting = asyncio.create_task(pace.enter())
    await asyncio.sleep(0)
    assert not waiting.done()
    pace.leave(answered=True)
    await waiting
    assert pace.in_flight == 1


async def test_a_waiter_that_is_cancelled_does_not_take_the_place_with_it() -> None:
    clock = Clock()
    pace = Pace(1, clock=clock, sleep=clock.sleep)
    await pace.enter()
    first, second = (asyncio.create_task(pace.enter()) for _ in range(2))
    await asyncio.sleep(0)
    pace.leave(answered=True)
    first.cancel()
    await asyncio.wait_for(second, 1.0)
    assert pace.in_flight == 1


class Limited(FakeModel):
    """A provider that serves four calls at a time and refuses more."""

    refused = 0

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.at_once > 4:
                self.refused += 1
                raise Overloaded("full").noting(retry_after_s=0.01)
            await asyncio.sleep(0.001)
            return Completion(text="refund", usage=USAGE)
        finally:
            self.at_once -= 1


async def test_a_provider_that_takes_four_at_a_time_is_soon_asked_for_about_four() -> None:
    model = Limited(lambda _: "refund")
    pace = Pace(32, clock=asyncio.get_running_loop().time)
    terms = Terms(concurrency=32, pace=pace, patience=Patience(give_up_after=1000))
    rows = samples(300)
    done = await run(LABEL_TASK, rows, SMALL, model, PER_TOKEN, MemoryStore(), terms=terms)
    assert [o.failure for o in done.outcomes] == [None] * 300
    assert pace.cuts >= 3
    assert model.refused < 300


async def test_a_wait_that_is_longer_than_patience_counts_as_failed_at_once() -> None:
    clock = Clock()
    model = FakeModel(lambda _: Overloaded("full").noting(retry_after_s=3600.0))
    terms = Terms(clock=clock, sleep=clock.sleep)
    rows = samples(1)
    done = await run(LABEL_TASK, rows, SMALL, model, PER_TOKEN, MemoryStore(), terms=terms)
    assert done.outcomes[0].failure == "overloaded"
    assert len(model.asked) == 1
