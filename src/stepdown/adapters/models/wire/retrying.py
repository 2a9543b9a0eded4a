"""When a call to a hosted model is tried again. It does not know HTTP; its time is an argument.

Only before the first byte of an answer, because what was delivered cannot be taken back; only
within the caller's deadline; and never sooner than the server asks (Retry-After). The waits double
and half of each is drawn, so that callers that failed together do not come back together
(M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015, "equal jitter").
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from stepdown.adapters.models.wire.settings import WireSettings

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


class PassingError(Exception):
    """A failure that may pass. `after_s`: the wait that the server asks for; `free`: whether it is
    known that the server did no work for it.
    """

    def __init__(self, error: Exception, after_s: float | None, *, free: bool) -> None:
        super().__init__()
        self.error = error
        self.after_s = after_s
        self.free = free


class Tries:
    """How often one call was tried again; `unpriced` counts lost tries that may have cost money."""

    def __init__(self) -> None:
        self.again = 0
        self.unpriced = 0


class Retrying:
    """Try again what may pass."""

    def __init__(self, settings: WireSettings, jitter: Callable[[], float], sleep: Sleep) -> None:
        self._settings = settings
        self._jitter = jitter
        self._sleep = sleep

    async def run(self, once: Callable[[], Awaitable[T]], deadline: float, tries: Tries) -> T:
        """Return what `once` returns; `deadline` is on the loop's clock.

        Raises:
            Exception: what the last try meant.
        """
        attempt = 0
        while True:
            try:
                return await once()
            except PassingError as failed:
                wait = self._wait_s(attempt, failed.after_s)
                if not self._may_wait(attempt, wait, deadline):
                    raise failed.error from None
                tries.again += 1
                tries.unpriced += not failed.free
            attempt += 1
            await self._sleep(wait)

    def _wait_s(self, attempt: int, after_s: float | None) -> float:
        """Return the wait asked for and a doubling one of which half is jitter."""
        backoff: float = self._settings.backoff_s * 2**attempt * (0.5 + 0.5 * self._jitter())
        return (after_s or 0.0) + backoff

    def _may_wait(self, attempt: int, wait: float, deadline: float) -> bool:
        left = deadline - asyncio.get_running_loop().time()
        return attempt < self._settings.retries and wait <= min(left, self._settings.longest_wait_s)
