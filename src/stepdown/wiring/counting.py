"""Keep the sums by day close to the ledger while somebody looks, in a thread that ends.

Under `serve` the process that fills the ledger counts too; this one is for a ledger that grew
without it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from stepdown.adapters.storage.rollup import TALLIES_EVERY_S, Rollup
from stepdown.errors import DataError

_SLICE_S = 0.5
_log = logging.getLogger("stepdown.serve")


class Counting:
    """Count what is new when poked; never more than one thread."""

    def __init__(self, rollup: Rollup, seconds: Callable[[], float] = time.monotonic) -> None:
        self._rollup = rollup
        self._seconds = seconds
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._tallied_at: float | None = None

    def poke(self, wait_s: float) -> None:
        """Begin to count unless it is being done; wait a little for the end of it."""
        if not self._rollup.ledger.is_file():
            return
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._count, name="stepdown-sums", daemon=True
                )
                self._thread.start()
            thread = self._thread
        thread.join(wait_s)

    def close(self) -> None:
        """Stop counting; what is left is counted another time."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def _count(self) -> None:
        try:
            while self._rollup.catch_up(_SLICE_S) and not self._ending.is_set():
                pass
            if self._are_tallies_old():
                self._rollup.recount_tallies()
                self._tallied_at = self._seconds()
        except DataError as error:
            _log.warning("the sums by day are behind: %s", error)

    def _are_tallies_old(self) -> bool:
        return self._tallied_at is None or self._seconds() - self._tallied_at >= TALLIES_EVERY_S
