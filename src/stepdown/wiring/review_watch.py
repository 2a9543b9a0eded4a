"""Have the promises looked at beside a gateway, every few minutes, in a process of its own.

It does not know what a look does; `review_looking` does.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path

FIRST_S = 60.0  # after a gateway began
LOOK = "stepdown.wiring.review_looking"
_log = logging.getLogger("stepdown.review")


class Looking:
    """Look again and again beside a gateway, each time in a process of its own: a look takes time
    and libraries that whoever answers requests does without.
    """

    def __init__(
        self,
        root: Path,
        every_s: float,
        *,
        first_s: float = FIRST_S,
        program: str = sys.executable,
    ) -> None:
        self._command = [program, "-P", "-m", LOOK, str(root)]
        self.looks = 0
        self._every_s = every_s
        self._first_s = min(first_s, every_s)
        self._stopping = threading.Event()
        self._running: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; the first look comes after a pause."""
        self._thread = threading.Thread(target=self._keep, name="stepdown-review", daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        pause = self._first_s
        while not self._stopping.wait(pause):
            self._once()
            self.looks += 1
            pause = self._every_s

    def _once(self) -> None:
        try:
            self._running = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
            self._running.wait()
        except OSError as error:
            _log.warning("the review could not look: %s", error)

    def close(self) -> None:
        """Stop looking; a look under way is ended, and made again by whoever looks next."""
        self._stopping.set()
        if self._running is not None and self._running.poll() is None:
            self._running.terminate()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
