"""Lines that the spool could not take: held in memory, written when it can, counted when lost.

An answer never waits for the books, and never fails for them. So a line that cannot be written (a
full disk, a folder that is gone) is held here; each later line writes the held ones first, so that
their order stays. What does not fit any more is lost, the oldest first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

HELD = 10_000  # some 2 kB each: 20 MB, and over a minute of a busy gateway
SAY_EVERY_S = 60.0
_log = logging.getLogger("stepdown.ledger")


class Holding:
    """Hand lines to `write`; safe to call from several threads. `append` never raises OSError."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        *,
        most: int = HELD,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._most = most
        self._seconds = seconds
        self._lines: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._said_at: float | None = None
        self._since: float | None = None
        self.lost = 0

    @property
    def held(self) -> int:
        """Lines that wait in memory; they do not survive the process."""
        return len(self._lines)

    @property
    def age_s(self) -> float:
        """How long lines have been held without a pause; 0 where none are."""
        since = self._since
        return 0.0 if since is None else self._seconds() - since

    def append(self, line: bytes) -> None:
        """Write a line, or hold it."""
        if self._lines:
            self._hold(line)
            self.retry()
            return
        try:
            self._write(line)
        except OSError as error:
            self._hold(line)
            self._say(error)

    def retry(self) -> None:
        """Write what is held, as far as it can be written now."""
        with self._lock:
            while self._lines:
                try:
                    self._write(self._lines[0])
                except OSError as error:
                    self._say(error)
                    return
                self._lines.popleft()
            self._since = None

    def _hold(self, line: bytes) -> None:
        with self._lock:
            if self._since is None:
                self._since = self._seconds()
            self._lines.append(line)
            while len(self._lines) > self._most:
                self._lines.popleft()
                self.lost += 1

    def _say(self, error: OSError) -> None:
        """Complain once a minute: a full disk must not fill the log as well."""
        now = self._seconds()
        if self._said_at is not None and now - self._said_at < SAY_EVERY_S:
            return
        self._said_at = now
        _log.error(
            "the spool cannot be written (%s); answers go out, %d lines are held in memory, "
            "%d were lost",
            error,
            len(self._lines),
            self.lost,
        )
