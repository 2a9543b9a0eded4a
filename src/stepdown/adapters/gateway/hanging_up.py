"""Stop working for a caller who hung up. It knows ASGI's `receive` and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
T = TypeVar("T")


class GoneError(Exception):
    """The caller hung up."""


async def while_listened(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; cancel it as soon as the caller hangs up.

    To be called when the whole body was received.

    Raises:
        GoneError: the caller hung up before it was done.
    """
    working = asyncio.current_task()
    gone = False

    def heard(watch: asyncio.Task[MutableMapping[str, Any]]) -> None:
        nonlocal gone
        if working is None or watch.cancelled() or watch.exception() is not None:
            return
        if watch.result()["type"] == "http.disconnect":
            gone = True
            working.cancel()

    watch = asyncio.ensure_future(receive())
    watch.add_done_callback(heard)
    try:
        return await work
    except asyncio.CancelledError:
        if gone and working is not None and working.uncancel() == 0:
            raise GoneError from None
        raise
    finally:
        watch.remove_done_callback(heard)
        watch.cancel()
