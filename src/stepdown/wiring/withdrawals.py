"""The file of promises that alarms took back: reviews write it, gateways watch it.

It stands beside the lock, under `.stepdown`: what was certified stays as it was. An entry holds for
one certificate of its task; a new one ends it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from stepdown.adapters.tables.atomic import replacing
from stepdown.config.project import Project
from stepdown.core.digest import digest
from stepdown.core.lock import Lock, task_digest
from stepdown.core.withdrawal import Withdrawal
from stepdown.errors import DataError

FILE = "review/state.json"
LOOK_EVERY_S = 0.5
VERSION = 1
_log = logging.getLogger("stepdown.review")


class Written(Struct, frozen=True, forbid_unknown_fields=True):
    """The file. `seal` is the digest of the tasks: an entry that was edited by hand is refused."""

    version: int = VERSION
    seal: str = ""
    tasks: Mapping[str, Withdrawal] = {}


def path_of(project: Project) -> Path:
    """Return where the file is."""
    return project.state / FILE


def read_withdrawals(path: Path) -> Mapping[str, Withdrawal]:
    """Return the withdrawals by task; none where there is no file.

    Raises:
        DataError: the file cannot be read, or was changed by hand.
    """
    again = "Remove it, then run `stepdown review status`: alarms that still ring write it anew."
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Written)
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError, UnicodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.", again) from None
    if found.version != VERSION:
        raise DataError(f"{path} has version {found.version}; this program reads {VERSION}.", again)
    if found.seal != _seal(found.tasks):
        raise DataError(f"{path} was changed by hand: its seal does not match what it says.", again)
    return found.tasks


def write_withdrawals(path: Path, tasks: Mapping[str, Withdrawal]) -> None:
    """Write these withdrawals and no others, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Written(seal=_seal(tasks), tasks=tasks)
    with replacing(path) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(made)))


def _seal(tasks: Mapping[str, Withdrawal]) -> str:
    return digest(dict(tasks))


class Withdrawals:
    """The withdrawal of each task of a lock as it is now: the file is looked at twice a second.

    Raises:
        DataError: the file cannot be read at the start; later, what held before still holds.
    """

    def __init__(
        self, path: Path, lock: Lock, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._digests = {name: task_digest(locked) for name, locked in lock.tasks.items()}
        self._seconds = seconds
        self._seen = self._signature()
        self._found = self._mine(read_withdrawals(path))
        self._next = seconds() + LOOK_EVERY_S

    def __call__(self, task: str) -> Withdrawal | None:
        """Return what an alarm said of a task, None where none did."""
        if self._seconds() >= self._next:
            self.look()
        return self._found.get(task)

    def look(self) -> None:
        """Read the file again where it has changed; a broken one changes nothing."""
        self._next = self._seconds() + LOOK_EVERY_S
        signature = self._signature()
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._found = self._mine(read_withdrawals(self._path))
        except DataError as error:
            _log.error("%s What held before still holds.", error)

    def _mine(self, found: Mapping[str, Withdrawal]) -> dict[str, Withdrawal]:
        """Those of the certificates that are served."""
        return {
            name: one for name, one in found.items() if self._digests.get(name) == one.task_digest
        }

    def _signature(self) -> tuple[int, int] | None:
        try:
            seen = self._path.stat()
        except OSError:
            return None
        return seen.st_mtime_ns, seen.st_ino
