"""One thread that computes, and a bounded queue before it: the event loop never waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from stepdown.errors import Busy, TimedOut, Unavailable

T = TypeVar("T")


class Worker:
    """Run blocking jobs one after the other. A job gets an event that says "stop"."""

    def __init__(self, queue_limit: int) -> None:
        self._limit = queue_limit
        self._waiting = 0
        self._closed = False
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stepdown-llama")

    async def run(self, job: Callable[[threading.Event], T], timeout_s: float | None) -> T:
        """Return what `job` returns.

        Raises:
            Busy: the queue is full.
            TimedOut: it was not ready within `timeout_s` seconds; the job is told to stop.
        """
        self._enter()
        stop = threading.Event()
        future = self._pool.submit(self._counted, job, stop)
        future.add_done_callback(lambda done: self._leave() if done.cancelled() else None)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout_s)
        except TimeoutError as error:
            raise TimedOut(
                f"The embedded model gave no answer within {timeout_s} s.",
                "Raise the tier's `timeout_s`, shorten the prompt, or ask for fewer tokens.",
            ) from error
        finally:
            stop.set()

    async def close(self, last: Callable[[], None]) -> None:
        """Finish what runs, refuse what comes, and run `last` in the thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        await asyncio.wrap_future(self._pool.submit(last))
        self._pool.shutdown(wait=False)

    def _counted(self, job: Callable[[threading.Event], T], stop: threading.Event) -> T:
        try:
            return job(stop)
        finally:
            self._leave()

    def _enter(self) -> None:
        with self._lock:
            if self._closed:
                raise Unavailable("The embedded model was closed.", "Open it again.")
            if self._waiting > self._limit:
                raise Busy(
                    f"The embedded model has {self._limit} calls waiting, which is its limit.",
                    "Send fewer calls at once, or try again in a moment.",
                )
            self._waiting += 1

    def _leave(self) -> None:
        with self._lock:
            self._waiting -= 1
