"""What signals ask of a server: to stop, to hurry, to reload."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_log = logging.getLogger("stepdown.gateway")

Reload = Callable[[], Coroutine[Any, Any, None]]


class Told:
    """Events that signals set. SIGINT and SIGTERM stop, a second SIGINT hurries, SIGHUP reloads."""

    def __init__(self, on_reload: Reload | None) -> None:
        self.to_stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._on_reload = on_reload
        self._reload = asyncio.Event()

    async def to_hurry(self, stop: asyncio.Task[None]) -> bool:
        """Wait for the end of `stop`; False when there is no more time for it."""
        hurry = asyncio.create_task(self._hurry.wait())
        stop.add_done_callback(lambda _: hurry.cancel())
        with suppress(asyncio.CancelledError):
            await hurry
        return stop.done()

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """Take the signals for as long as the block runs; only the main thread can."""
        if threading.current_thread() is not threading.main_thread() or os.name != "posix":
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGTERM, self.to_stop.set)
        reloading = asyncio.create_task(self._keep_reloading())
        if self._on_reload is not None:
            loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        try:
            yield
        finally:
            reloading.cancel()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)

    @contextmanager
    def by_parent(self, end: int | None) -> Iterator[None]:
        """Stop when the other end of a pipe is gone, for as long as the block runs."""
        if end is None:
            yield
            return
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(end)
            self.to_stop.set()

        loop.add_reader(end, gone)
        try:
            yield
        finally:
            loop.remove_reader(end)

    def _interrupt(self) -> None:
        if self.to_stop.is_set():
            self._hurry.set()
        self.to_stop.set()

    async def _keep_reloading(self) -> None:
        while self._on_reload is not None:
            await self._reload.wait()
            self._reload.clear()
            try:
                await self._on_reload()
            except Exception:  # noqa: BLE001 the edge: what is served goes on
                _log.exception("the reload failed; what was served before goes on")
