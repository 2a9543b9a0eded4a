"""Keep calls for good, those that end in one turn of the event loop by one write."""

from __future__ import annotations

import asyncio

from stepdown.errors import StepdownError
from stepdown.ports.run_store import RunStore, SavedCall


class Keeper:
    """Appends the calls of one tier to the store."""

    def __init__(self, store: RunStore, task: str, tier: str) -> None:
        self._store = store
        self._task = task
        self._tier = tier
        self._ended: list[SavedCall] = []
        self._written: asyncio.Future[None] | None = None

    async def keep(self, call: SavedCall) -> None:
        """Return when the call is written.

        Raises:
            DataError: it could not be written; what was written before is safe.
        """
        self._ended.append(call)
        if self._written is None:
            loop = asyncio.get_running_loop()
            self._written = loop.create_future()
            loop.call_soon(self._write)
        # Shielded: the others of this turn wait for the same write.
        await asyncio.shield(self._written)

    def _write(self) -> None:
        calls, written = self._ended, self._written
        self._ended, self._written = [], None
        assert written is not None
        try:
            self._store.append(self._task, self._tier, *calls)
        except StepdownError as error:
            written.set_exception(error)
            written.exception()  # seen, even if everybody who waited was cancelled
        else:
            written.set_result(None)
