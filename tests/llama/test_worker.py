"""One thread and a bounded queue: late, too many, closed."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from stepdown.adapters.models.llama.worker import Worker
from stepdown.errors import Overloaded, TimedOut, Unavailable


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    opened = Worker(queue_limit=1)
    yield opened
    await opened.close(lambda: None)


async def test_jobs_run_one_after_the_other_away_from_the_event_loop(worker: Worker) -> None:
    names = set()

    def job(stop: threading.Event) -> object:
        names.add(threading.current_thread().name)
        return len(names)

    assert await asyncio.gather(worker.run(job, None), worker.run(job, None)) == [1, 1]
    assert threading.current_thread().name not in names


async def test_a_late_job_is_told_to_stop_and_the_caller_hears_that_it_was_late(
    worker: Worker,
) -> None:
    stopped = threading.Event()

    def job(stop: threading.Event) -> object:
        stop.wait(5)
        stopped.set()

    with pytest.raises(TimedOut, match=r"0\.05 s"):
        await worker.run(job, 0.05)
    assert await asyncio.to_thread(stopped.wait, 5)


async def test_one_call_too_many_is_refused_and_the_others_are_answered(worker: Worker) -> None:
    gate = threading.Event()

    def job(stop: threading.Event) -> object:
        return gate.wait(5)

    first = asyncio.ensure_future(worker.run(job, None))
    second = asyncio.ensure_future(worker.run(job, None))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="1 calls waiting"):
        await worker.run(job, None)
    gate.set()
    assert await asyncio.gather(first, second) == [True, True]
    assert await worker.run(job, None)


async def test_a_caller_that_gives_up_in_the_queue_frees_its_place(worker: Worker) -> None:
    gate = threading.Event()
    running = asyncio.ensure_future(worker.run(lambda stop: gate.wait(5), None))
    waiting = asyncio.ensure_future(worker.run(lambda stop: None, None))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    late = asyncio.ensure_future(worker.run(lambda stop: "answered", None))
    await asyncio.sleep(0.01)
    gate.set()
    assert await late == "answered"
    await running


async def test_a_closed_worker_refuses_and_may_be_closed_twice() -> None:
    worker = Worker(queue_limit=1)
    closed = []
    await worker.close(lambda: closed.append(1))
    await worker.close(lambda: closed.append(2))
    with pytest.raises(Unavailable, match="closed"):
        await worker.run(lambda stop: None, None)
    assert closed == [1]


async def test_an_error_of_the_job_reaches_the_caller(worker: Worker) -> None:
    def job(stop: threading.Event) -> object:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await worker.run(job, None)
