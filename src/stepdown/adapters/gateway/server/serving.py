"""Run the gateway: the address, the port, a clean start, a reload and a clean stop.

Nothing is read from the environment here. The fast event loop of uvloop is used where it is.
"""

from __future__ import annotations

import asyncio
import gc
import math
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, Protocol

from stepdown.adapters.gateway.server.connection import HttpConnection
from stepdown.adapters.gateway.server.exchange import App, Exchange, Receive, Scope, Send
from stepdown.adapters.gateway.server.limits import ServerLimits
from stepdown.adapters.gateway.server.listening import (
    BACKLOG,
    LOOPBACK,
    Guarded,
    base_url,
    bind,
    raise_file_limit,
)
from stepdown.adapters.gateway.server.signals import Reload, Told

_POLL_S = 0.05
_TICK_S = 1.0
_GC_EVERY = (10_000, 10, 10)  # objects that live on, then rounds: some ten requests' worth
_SWITCH_S = 0.0005  # how long a thread at work may keep an answer waiting


class GuardedApp(Guarded, Protocol):
    """An application that says whether it wants a key."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI event."""
        ...


class Server:
    """The connections of one listening socket, in one event loop."""

    def __init__(self, app: App, limits: ServerLimits) -> None:
        self.limits = limits
        self.now_s = 0.0
        self.draining = False
        self._app = app
        self._loop = asyncio.get_running_loop()
        self._connections: set[HttpConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()

    async def start(self, listener: socket.socket) -> None:
        """Answer from now on."""
        self._tick()
        self._listening = await self._loop.create_server(
            lambda: HttpConnection(self, self._loop), sock=listener, backlog=BACKLOG
        )

    async def stop(self, grace_s: float) -> None:
        """Take no more requests; let those under way finish, but for `grace_s` at most."""
        self.draining = True
        if self._listening is not None:
            self._listening.close()
        for connection in [*self._connections]:
            connection.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._quiet()
        for connection in [*self._connections]:
            connection.drop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        if self._ticker is not None:
            self._ticker.cancel()
        await asyncio.sleep(0)  # what was dropped closes in the next round

    # What a connection asks.

    def work(self, exchange: Exchange) -> asyncio.Task[None]:
        """Let the application answer."""
        task = self._loop.create_task(exchange.run(self._app))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def came(self, connection: HttpConnection) -> bool:
        """Take a connection in, or say that there is no room."""
        self._connections.add(connection)
        return len(self._connections) <= self.limits.connections and not self.draining

    def left(self, connection: HttpConnection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    async def _quiet(self) -> None:
        while self._connections:
            self._empty.clear()
            await self._empty.wait()

    def _tick(self) -> None:
        """Look after the deadlines; one clock for all is cheaper than a timer for each."""
        self.now_s = now = self._loop.time()
        for late in [c for c in self._connections if c.deadline_s < now]:
            late.deadline_s = math.inf
            late.overdue()
        self._ticker = self._loop.call_later(_TICK_S, self._tick)


def serve(
    app: GuardedApp,
    host: str = LOOPBACK,
    port: int = 8080,
    *,
    on_ready: Callable[[str], None] | None = None,
    on_reload: Reload | None = None,
    grace_s: float = 30,
    limits: ServerLimits = ServerLimits(),
) -> None:
    """Serve until SIGINT or SIGTERM; requests under way get `grace_s` seconds to finish.

    `port` 0 takes a free one. `on_ready` is called once with the base URL, when requests are
    answered; `on_reload` is awaited after each SIGHUP, one at a time. A second SIGINT drops what
    is under way. Returns after a clean stop, so that the caller can close what is behind the app.

    Raises:
        InputError: not a loopback address and no API key; the port is taken or not allowed.
    """
    with closing(bind(host, port, app)) as listener:
        raise_file_limit()
        serve_on(
            listener, app, on_ready=on_ready, on_reload=on_reload, grace_s=grace_s, limits=limits
        )


def serve_on(
    listener: socket.socket,
    app: App,
    *,
    on_ready: Callable[[str], None] | None = None,
    on_reload: Reload | None = None,
    grace_s: float = 30,
    limits: ServerLimits = ServerLimits(),
    parent_fd: int | None = None,
    on_stop: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve a socket that listens; otherwise as `serve`. Stop when `parent_fd` is at its end.

    `on_stop` runs in the same loop when the last request was answered.
    """
    sys.setswitchinterval(_SWITCH_S)

    async def main() -> None:
        told = Told(on_reload)
        with told.by_signals(), told.by_parent(parent_fd):
            server = Server(app, limits)
            await server.start(listener)
            settle_garbage()
            if on_ready is not None:
                on_ready(base_url(listener))
            await told.to_stop.wait()
            stop = asyncio.create_task(server.stop(grace_s))
            if not await told.to_hurry(stop):
                stop.cancel()
                await server.stop(0.0)
            if on_stop is not None:
                await on_stop()

    run_loop(main())


def settle_garbage() -> None:
    """Take what was loaded at the start out of the collector's sight: it will never be garbage.

    Requests leave no cycles to speak of, so young objects are looked at less often, too.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_EVERY)


@contextmanager
def running(
    app: GuardedApp,
    host: str = LOOPBACK,
    port: int = 0,
    *,
    limits: ServerLimits = ServerLimits(),
    grace_s: float = 5,
) -> Iterator[str]:
    """Serve from a background thread for as long as the block runs; yield the base URL.

    Raises:
        InputError: as `serve`.
    """
    ready = threading.Event()
    stop: list[Callable[[], object]] = []

    async def main() -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        server = Server(app, limits)
        await server.start(listener)
        stop.append(lambda: loop.call_soon_threadsafe(over.set))
        ready.set()
        await over.wait()
        await server.stop(grace_s)

    with closing(bind(host, port, app)) as listener:
        run = threading.Thread(target=run_loop, args=(main(),), name="stepdown-gateway")
        run.start()
        try:
            while not ready.wait(_POLL_S) and run.is_alive():
                continue
            if not ready.is_set():
                raise RuntimeError("the gateway's thread ended before it was ready")
            yield base_url(listener)
        finally:
            for end in stop:
                end()
            run.join()


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in the fastest loop there is."""
    try:
        import uvloop
    except ImportError:  # not on Windows
        asyncio.run(main)
    else:
        uvloop.run(main)
