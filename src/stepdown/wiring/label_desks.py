"""The label queues of a gateway: one process beside it for each task that somebody labels.

It starts them when they are asked for and lets them go; it knows no statistics.
"""

from __future__ import annotations

import select
import subprocess
import sys
import threading
from pathlib import Path

import msgspec

from stepdown.core.label_desk import AtDesk, Desk, Order

MOST = 2  # queues at a time; each holds numpy and the task's embedded tiers
PATIENCE_S = 30.0


class LabelDesks:
    """Hand orders to the desk of a task in the project at `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._desks: dict[str, _Process] = {}
        self._lock = threading.Lock()

    def ask(self, task: str, order: Order) -> AtDesk:
        """Return what the desk says; one that does not answer is ended, and says so."""
        return self._desk(task).ask(order)

    def forget(self) -> None:
        """End every queue: the project has changed, or the gateway stops."""
        with self._lock:
            desks, self._desks = list(self._desks.values()), {}
        for desk in desks:
            desk.end()

    def _desk(self, task: str) -> _Process:
        with self._lock:
            desk = self._desks.pop(task, None)
            if desk is None or desk.is_over:
                desk = _Process(self._folder, task)
            self._desks[task] = desk  # the last one asked stands last
            spare = list(self._desks)[:-MOST]
            for name in spare:
                self._desks.pop(name).end()
        return desk


class _Process:
    """One desk process: an order at a time."""

    def __init__(self, folder: Path, task: str) -> None:
        command = [sys.executable, "-P", "-m", "stepdown.wiring.label_serving"]
        self._process = subprocess.Popen(
            [*command, str(folder.absolute()), task],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what it has to say stands in its answers
        )
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        return self._process.poll() is not None

    def ask(self, order: Order) -> AtDesk:
        with self._lock:
            try:
                line = self._asked(msgspec.json.encode(order))
                return msgspec.json.decode(line, type=AtDesk)
            except (OSError, ValueError, msgspec.MsgspecError):
                self.end()
                said = "The queue ended unexpectedly. Load the page again; see `stepdown label`."
                return AtDesk(desk=Desk(state="failed", said=said))

    def _asked(self, line: bytes) -> bytes:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(line + b"\n")
        stdin.flush()
        if not select.select([stdout], [], [], PATIENCE_S)[0]:
            raise TimeoutError
        return stdout.readline()

    def end(self) -> None:
        """End the process; its labels are on disk already."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
