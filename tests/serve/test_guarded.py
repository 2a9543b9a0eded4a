"""A model behind its gate: calls at once, the queue, the breaker, what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import pytest
from serve_fakes import FakeModel

from stepdown.core.limits import Limits
from stepdown.core.request import Chunk, Completion, Request
from stepdown.errors import Busy, Down, ModelError, Overloaded, TimedOut, Unavailable
from stepdown.serve.gate import Gate
from stepdown.serve.guarded import Guarded

ASKED = Request(id="1", task="t", input="Hello")


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Held:
    """A model that answers when it is told to."""

    digest = "sha256:held"
    capabilities = FakeModel("x").capabilities

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.cancelled: list[str] = []
        self.go = asyncio.Event()

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        self.begun.append(request.id)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(request.id)
            raise
        return Completion(text=request.id)

    async def aclose(self) -> None:
        return None


def gate(time: Callable[[], float], *, embedded: bool = False, **limits: object) -> Gate:
    return Gate("small", Limits(**limits), embedded=embedded, seconds=time)  # type: ignore[arg-type]


def asking(name: str) -> Request:
    return Request(id=name, task="t", input="Hello")


async def test_so_many_run_so_many_wait_and_one_more_is_refused_with_a_time_to_come_back() -> None:
    held, door = Held(), gate(Time(), concurrency=2, queue=1)
    model = Guarded(held, door)
    calls = [asyncio.create_task(model.complete(asking(n))) for n in ("1", "2", "3")]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert held.begun == ["1", "2"]
    assert (door.reading().running, door.reading().waiting) == (2, 1)
    with pytest.raises(Overloaded) as full:
        await model.complete(asking("4"))
    assert full.value.retry_after_s == 1.0
    assert full.value.free
    assert not isinstance(full.value, Busy)
    held.go.set()
    assert [done.text for done in await asyncio.gather(*calls)] == ["1", "2", "3"]
    seen = door.reading()
    assert (seen.running, seen.waiting, seen.answered) == (0, 0, 3)
    assert seen.refused == {"queue_full": 1}


async def test_a_full_queue_before_a_model_in_this_process_says_that_we_are_busy() -> None:
    held = Held()
    model = Guarded(held, gate(Time(), embedded=True, queue=0))
    first = asyncio.create_task(model.complete(asking("1")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await model.complete(asking("2"))
    held.go.set()
    await first


async def test_a_turn_that_does_not_come_in_time_costs_nothing() -> None:
    held = Held()
    model = Guarded(held, gate(Time(), concurrency=1))
    first = asyncio.create_task(model.complete(asking("1")))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as late:
        await model.complete(asking("2"), timeout_s=0.01)
    assert late.value.free
    held.go.set()
    await first
    assert held.begun == ["1"]


async def test_a_caller_who_hangs_up_gives_its_place_and_its_turn_away() -> None:
    held, door = Held(), gate(Time(), concurrency=1)
    model = Guarded(held, door)
    first, second, third = (asyncio.create_task(model.complete(asking(n))) for n in ("1", "2", "3"))
    await asyncio.sleep(0.01)
    second.cancel()
    first.cancel()
    await asyncio.sleep(0.01)
    assert held.cancelled == ["1"]
    assert held.begun == ["1", "3"]
    held.go.set()
    assert (await third).text == "3"
    assert door.reading().running == 0
    assert door.reading().cancelled == 2
    with suppress(asyncio.CancelledError):
        await asyncio.gather(first, second)


@pytest.mark.parametrize("error", [ModelError("broken"), TimedOut("late"), Overloaded("full")])
async def test_failures_in_a_row_leave_the_tier_alone_and_a_probe_tries_it_again(
    error: ModelError,
) -> None:
    time = Time()
    door = gate(time, breaker_failures=2, breaker_s=10.0)
    broken, good = FakeModel(error), FakeModel("fine")
    for _ in range(2):
        with pytest.raises(type(error)):
            await Guarded(broken, door).complete(ASKED)
    assert door.is_down
    with pytest.raises(Down) as down:
        await Guarded(broken, door).complete(ASKED)
    assert down.value.retry_after_s == 10.0
    assert down.value.free
    assert len(broken.asked) == 2
    time.now = 10.0
    assert door.reading().state == "half_open"
    assert (await Guarded(good, door).complete(ASKED)).text == "fine"
    seen = door.reading()
    assert (seen.state, seen.opened, seen.failed) == ("closed", 1, {error.kind: 2})
    assert seen.refused == {"breaker": 1}


async def test_requests_that_cannot_be_answered_do_not_blame_the_tier() -> None:
    door = gate(Time(), breaker_failures=1)
    bad = ModelError("your temperature is wrong").noting(blames="request")
    for error in (Unavailable("too long"), bad):
        with pytest.raises(ModelError):
            await Guarded(FakeModel(error), door).complete(ASKED)
    assert not door.is_down


async def test_a_model_that_ignores_its_time_is_cut_off_and_counted() -> None:
    door = gate(Time())
    with pytest.raises(TimedOut):
        await Guarded(FakeModel("x", hangs=True), door).complete(ASKED, timeout_s=0.01)
    assert door.reading().late == {"total": 1}
    assert door.reading().running == 0


async def test_how_long_a_tier_takes_is_known_after_five_calls_and_forgotten_after_a_minute() -> (
    None
):
    time = Time()
    door = gate(time)

    def slow(_request: Request) -> Completion:
        time.now += 2.0
        return Completion(text="x")

    model = Guarded(FakeModel(slow), door)
    for _ in range(4):
        await model.complete(ASKED)
    assert door.median_s is None
    await model.complete(ASKED)
    assert door.median_s == 2.0
    time.now += 61.0
    assert door.median_s is None


class Speaking(Held):
    """A model that says one word and then the rest."""

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        yield Chunk(text="so")
        yield Chunk(text=" it is", completion=Completion(text="so it is", retries=2))


async def test_a_stream_holds_its_place_until_its_reader_goes_away() -> None:
    door = gate(Time(), concurrency=1)
    stream = Guarded(Speaking(), door).stream(ASKED)
    await anext(stream)
    assert door.reading().running == 1
    await stream.aclose()
    assert (door.reading().running, door.reading().cancelled) == (0, 1)


async def test_a_stream_that_is_whole_was_answered_even_if_nobody_asks_for_more() -> None:
    door = gate(Time(), concurrency=1)
    stream = Guarded(Speaking(), door).stream(ASKED)
    assert [(await anext(stream)).text for _ in range(2)] == ["so", " it is"]
    await stream.aclose()
    seen = door.reading()
    assert (seen.running, seen.cancelled, seen.answered, seen.retries) == (0, 0, 1, 2)
