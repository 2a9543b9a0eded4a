"""Stop working for a caller who hung up. It knows ASGI's `receive` and one extension of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
T = TypeVar("T")

# The name of the extension in a scope: a function that takes what is to be called when the caller
# hangs up, None to call nothing any more. Our own server has it; it spares a task per request.
HANG_UP = "stepdown.hang_up"
Subscribe = Callable[[Callable[[], None] | None], None]


class GoneError(Exception):
    """The caller hung up."""


async def while_listened(
    receive: Receive, work: Coroutine[Any, Any, T], subscribe: Subscribe | None = None
) -> T:
    """Return what `work` returns; cancel it as soon as the caller hangs up.

    To be called when the whole body was received. Without `subscribe` a task waits for the
    disconnect, as ASGI knows it.

    Raises:
        GoneError: the caller hung up before it was done.
    """
    working = asyncio.current_task()
    assert working is not None, "a coroutine runs in a task"
    gone = False

    def hung_up() -> None:
        nonlocal gone
        gone = True
        working.cancel()

    stop = _heard(receive, hung_up) if subscribe is None else _told(subscribe, hung_up)
    try:
        return await work
    except asyncio.CancelledError:
        if gone and working.uncancel() == 0:
            raise GoneError from None
        raise
    finally:
        stop()


def _told(subscribe: Subscribe, hung_up: Callable[[], None]) -> Callable[[], None]:
    subscribe(hung_up)
    return lambda: subscribe(None)


def _heard(receive: Receive, hung_up: Callable[[], None]) -> Callable[[], None]:
    def heard(watch: asyncio.Task[MutableMapping[str, Any]]) -> None:
        if watch.cancelled() or watch.exception() is not None:
            return
        if watch.result()["type"] == "http.disconnect":
            hung_up()

    def stop() -> None:
        watch.remove_done_callback(heard)
        watch.cancel()

    watch = asyncio.ensure_future(receive())
    watch.add_done_callback(heard)
    return stop
