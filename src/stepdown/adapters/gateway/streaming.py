"""An answer on its way over HTTP while it is written: a Sink that sends events.

The status and the headers go out with the first piece, so that an error before it still has a
status of its own. A caller who waits long is sent comments, so that no proxy between cuts the
connection; from then on an error is an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from stepdown.adapters.gateway.answers import EVENTS, explained
from stepdown.adapters.gateway.faults import Fault, Headers
from stepdown.adapters.gateway.surface import Events
from stepdown.core.call import Reply
from stepdown.core.request import Chunk

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
WAITING = b": waiting\n\n"  # a comment of the event stream: clients pass over it


class EventSink:
    """Sends one answer as events. `own` are the headers that every answer has.

    `patience_s` is how long a caller waits in silence before a comment is sent, and between two.
    """

    def __init__(
        self,
        send: Send,
        events: Events,
        *,
        own: Headers,
        ignored: tuple[str, ...] = (),
        patience_s: float,
    ) -> None:
        self._send = send
        self._events = events
        self._own = own
        self._ignored = ignored
        self._patience_s = patience_s
        self._timer: asyncio.TimerHandle | None = None
        self._comment: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self.started = False
        self._began = False
        self._quiet = False
        self._wait()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._patience_s, self._speak)

    def _speak(self) -> None:
        self._comment = asyncio.ensure_future(self._say_waiting())

    async def _say_waiting(self) -> None:
        async with self._turn:
            if not self._quiet:
                await self._start(())
                await self._more(WAITING)
                self._wait()

    async def hush(self) -> None:
        """Send no more comments; one that is under way is sent whole."""
        self._quiet = True
        if self._timer is not None:
            self._timer.cancel()
        if self._comment is not None:
            async with self._turn:
                pass

    async def begin(self, opening: Reply) -> None:
        """Send the headers that explain the answer, and its first event."""
        await self.hush()
        self._began = True
        await self._start(explained(opening, self._ignored, whole=False))
        await self._more(self._events.begin(opening))

    async def piece(self, chunk: Chunk) -> None:
        """Send the next piece."""
        if said := self._events.piece(chunk):
            await self._more(said)

    async def finish(self, reply: Reply) -> None:
        """Send the end of an answer, or all of it where nothing of it was sent yet."""
        await self.hush()
        await self._start(explained(reply, self._ignored))
        last = self._events.end(reply) if self._began else self._events.whole(reply)
        await self._last(last)

    async def fail(self, fault: Fault) -> None:
        """Send an error as an event, where the status is out already."""
        await self.hush()
        await self._last(self._events.broken(fault))

    async def _start(self, told: Headers) -> None:
        if self.started:
            return
        self.started = True
        headers = [*EVENTS, *told, *self._own]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _more(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def _last(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
