"""How many calls one model of one provider may have in flight, and when the next may start.

Additive increase, multiplicative decrease: each answer that comes lets a little more in, each
"too many" halves it, and a wait that the provider asks for holds everybody back.
Source: Chiu and Jain (1989); at most one cut for the calls that were in flight together, as in
Jacobson (1988). It does not know what is called.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable


class Pace:
    """A gate of one provider and model; `most` is what the user allows."""

    def __init__(
        self,
        most: int,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.most = max(1, most)
        self.limit = float(self.most)
        self.in_flight = 0
        self.cuts = 0
        self.clock = clock
        self.sleep = sleep
        self._resume_s = float("-inf")
        self._cut_s = float("-inf")
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> float:
        """Wait for a place; return when it was taken, which `leave` and `full` want to know."""
        while True:
            held_s = self._resume_s - self.clock()
            if held_s > 0:
                await self.sleep(held_s)
            elif self.in_flight < int(self.limit):
                self.in_flight += 1
                return self.clock()
            else:
                await self._queue()

    def leave(self, *, answered: bool) -> None:
        """Give the place back; an answer lets a little more in."""
        self.in_flight -= 1
        if answered:
            self.limit = min(float(self.most), self.limit + 1 / self.limit)
        self._wake()

    def full(self, entered_s: float, after_s: float | None = None) -> None:
        """Note that the provider had too many calls, and how long it asks to be left alone."""
        now = self.clock()
        if entered_s >= self._cut_s:
            self.limit, self._cut_s = max(1.0, self.limit / 2), now
            self.cuts += 1
        if after_s is not None:
            self._resume_s = max(self._resume_s, now + after_s)

    async def _queue(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._wake()  # the turn may have been given to this one already
            raise

    def _wake(self) -> None:
        free = int(self.limit) - self.in_flight
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1
