"""Keep a filler at work in a process of its own: start it, see that it lives, end it.

It does not know what the filler does.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

_FIRST_PAUSE_S = 0.5  # between a death and the next start; it doubles, and a long life resets it
_LONGEST_PAUSE_S = 30.0
_LONG_LIFE_S = 60.0
_log = logging.getLogger("stepdown.ledger")


class FillerProcess:
    """One filler of `directory`, started by the first question whether it works."""

    def __init__(
        self, directory: Path, pause_s: float, *, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._command = [sys.executable, "-P", "-m", "stepdown.adapters.storage.filler"]
        self._command += [str(directory.absolute()), str(pause_s)]
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._started_at = 0.0
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """The process, None where none was started."""
        return None if self._process is None else self._process.pid

    def works(self) -> bool:
        """Return whether there is a filler; one that ended is started again after a pause."""
        if self._process is not None and self._process.poll() is None:
            return True
        now = self._seconds()
        if self._process is not None:
            self._bury(self._process, now)
        return now >= self._not_before and self._start(now)

    def stop(self, wait_s: float) -> None:
        """Let the filler end by itself, which takes a last look; kill what does not end."""
        process, self._process = self._process, None
        if process is None:
            return
        from subprocess import TimeoutExpired

        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(wait_s)
        except TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self, now: float) -> bool:
        import subprocess  # lazily: the filler itself imports this room, and has no use for it

        try:
            # A process group of its own: Ctrl-C is for those who answer.
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0
            )
        except OSError as error:
            _log.warning("no process to fill the ledger can be started: %s", error)
            self._wait_longer(now)
            return False
        self._started_at = now
        return True

    def _bury(self, process: subprocess.Popen[bytes], now: float) -> None:
        _log.warning(
            "the process that fills the ledger ended (%s); another one is started, nothing is lost",
            process.returncode,
        )
        if process.stdin is not None:
            process.stdin.close()
        self._process = None
        if now - self._started_at > _LONG_LIFE_S:
            self._pause_s = _FIRST_PAUSE_S
        self._wait_longer(now)

    def _wait_longer(self, now: float) -> None:
        self._not_before = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
