"""One timer for the deadlines of many calls. It does not know what is called.

Nearly every call ends long before its deadline, and a timer of its own would be set up and thrown
away for each. Otherwise as `asyncio.timeout_at`.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadlines:
    """The deadlines of the calls under way in one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._open: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0

    def at(self, when: float) -> Deadline:
        """Return a deadline on the loop's clock, for a `with` around the work of this task.

        Raises:
            TimeoutError: at the end of the block, when the work was cut off.
        """
        return Deadline(self, when)

    def add(self, deadline: Deadline) -> None:
        """Watch a deadline; the timer is only moved when it would be late."""
        self._open.add(deadline)
        if self._timer is None or deadline.when < self._rings_at:
            self._arm(deadline.when)

    def remove(self, deadline: Deadline) -> None:
        """Forget a deadline; the timer stays for the next ones."""
        self._open.discard(deadline)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = when
        self._timer = self.loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self.loop.time()
        for late in [deadline for deadline in self._open if deadline.when <= now]:
            self._open.discard(late)
            late.pass_by()
        if self._open:
            self._arm(min(deadline.when for deadline in self._open))


class Deadline:
    """The work of one task until a moment."""

    __slots__ = ("_cancelling", "_house", "_passed", "_task", "when")

    def __init__(self, house: Deadlines, when: float) -> None:
        self.when = when
        self._house = house
        self._passed = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        self._task, self._cancelling = task, task.cancelling()
        self._house.add(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._house.remove(self)
        if not self._passed:
            return
        ours = self._task.uncancel() <= self._cancelling
        if ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def pass_by(self) -> None:
        """Cut the work off."""
        self._passed = True
        self._task.cancel()
