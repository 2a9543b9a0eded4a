"""Several processes that serve one port: a parent that answers nothing keeps them alive.

Each worker has a listening socket of its own on the same address (SO_REUSEPORT), so that the
system spreads the callers. The parent holds the sockets too: when a worker dies, callers who wait
for it are taken by the one that follows it. POSIX only.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec import Struct

from stepdown.errors import InputError

_HEARD = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_STARTS_S = 60.0  # embedded models may take long to load
_PAUSE_S = 0.5  # between the death of a worker and the next one in its place
_MARGIN_S = 5.0


class Worker(Struct, frozen=True):
    """What a worker gets from its parent. `parent_fd` is at its end when the parent is gone.

    `restarts` counts the workers before it that died in its place.
    """

    number: int
    listener: socket.socket
    parent_fd: int
    ready_fd: int
    restarts: int = 0

    def is_ready(self) -> None:
        """Tell the parent that requests are answered."""
        with suppress(OSError):
            os.write(self.ready_fd, b"+")


class Workers:
    """Keep one worker for each listener. `told` hears, in words, of each that had to be replaced.

    The parent must have no threads and no event loop: workers are forks of it.
    """

    def __init__(
        self, listeners: Sequence[socket.socket], *, grace_s: float, told: Callable[[str], None]
    ) -> None:
        if not hasattr(os, "fork"):
            raise InputError("Several workers need a POSIX system.", "Leave --workers out.")
        self._listeners = listeners
        self._grace_s = grace_s
        self._told = told
        self._running: dict[int, int] = {}
        self._restarts = [0] * len(listeners)
        self._lifeline = os.pipe()

    def keep(self, on_ready: Callable[[], None]) -> Worker | int:
        """Return a Worker in each worker, and in the parent, at the end, the exit code.

        `on_ready` is called in the parent when every worker answers. A worker that cannot start
        has said why, and its exit code is the parent's.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        for number in range(len(self._listeners)):
            ready = os.pipe()
            if (worker := self._start(number, ready)) is not None:
                return worker
            os.close(ready[1])
            code = self._first_word(ready[0])
            os.close(ready[0])
            if code is not None:
                self._stop(signal.SIGTERM)
                return code
        on_ready()
        return self._watch()

    def _start(self, number: int, ready: tuple[int, int]) -> Worker | None:
        """Fork; return the Worker in the child only."""
        pid = os.fork()
        if pid:
            self._running[pid] = number
            return None
        os.close(self._lifeline[1])
        for other, listener in enumerate(self._listeners):
            if other != number:
                listener.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
        restarts = self._restarts[number]
        return Worker(number, self._listeners[number], self._lifeline[0], ready[1], restarts)

    def _first_word(self, ready: int) -> int | None:
        """Wait until a new worker is ready; return its exit code when it ended instead."""
        heard, _, _ = select.select([ready], [], [], _STARTS_S)
        if heard and os.read(ready, 1):
            return None
        pid = next(reversed(self._running))
        if not heard:
            os.kill(pid, signal.SIGKILL)
            self._told(f"a worker was not ready within {_STARTS_S:g} s.")
        _, status = os.waitpid(pid, 0)
        del self._running[pid]
        return abs(os.waitstatus_to_exitcode(status)) or 1

    def _watch(self) -> Worker | int:
        while True:
            number = signal.sigwait(_HEARD)
            if number == signal.SIGHUP:
                self._tell_all(signal.SIGHUP)
            elif number == signal.SIGCHLD:
                if (worker := self._replace_the_dead()) is not None:
                    return worker
            else:
                self._stop(number)
                return 0

    def _replace_the_dead(self) -> Worker | None:
        """Start a worker in place of each that ended; return it in the child only."""
        for pid, status in self._dead():
            number = self._running.pop(pid)
            self._restarts[number] += 1
            why = os.waitstatus_to_exitcode(status)
            said = signal.Signals(-why).name if why < 0 else f"exit code {why}"
            so_far = sum(self._restarts)
            self._told(f"worker {number + 1} ended ({said}); replaced, {so_far} so far.")
            time.sleep(_PAUSE_S)
            ready = os.pipe()
            if (worker := self._start(number, ready)) is not None:
                return worker
            for end in ready:
                os.close(end)
        return None

    def _dead(self) -> list[tuple[int, int]]:
        found = []
        for pid in self._running:
            with suppress(ChildProcessError):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    found.append((pid, status))
        return found

    def _stop(self, number: int) -> None:
        """Let every worker finish what it has begun, and kill what has not ended by then."""
        self._tell_all(number)
        until = time.monotonic() + self._grace_s + _MARGIN_S
        while self._running and (left := until - time.monotonic()) > 0:
            for pid, _ in self._dead():
                del self._running[pid]
            if self._running:
                again = signal.sigtimedwait(_HEARD, min(left, 0.2))
                if again is not None and again.si_signo == signal.SIGINT:
                    self._tell_all(signal.SIGINT)
        self._tell_all(signal.SIGKILL)

    def _tell_all(self, number: int) -> None:
        for pid in self._running:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
