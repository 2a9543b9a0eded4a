"""Which share of each task's traffic meets its policy, as a small file that verbs write and
gateways watch.

`stepdown.toml` and the options of `serve` say where a task starts; what `serve share` or `rollback`
said later holds, also after a restart.
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
from stepdown.core.exposure import ALL, Exposure
from stepdown.errors import DataError

FILE = "serve/exposure.json"
STARTED = "serve/start.json"  # how the gateway that runs was started, by its options
LOOK_EVERY_S = 0.5
_log = logging.getLogger("stepdown.serve")


class Told(Struct, frozen=True, omit_defaults=True):
    """What somebody said of a task, and when."""

    share: float
    shadow: float = 0.0
    by: str = ""
    at: str = ""

    @property
    def exposure(self) -> Exposure:
        """The exposure that was asked for."""
        return Exposure(share=self.share, shadow=self.shadow)


class Spoken(Struct, frozen=True):
    """The file: tasks that somebody spoke of."""

    version: int = 1
    tasks: Mapping[str, Told] = {}


def path_of(project: Project) -> Path:
    """Return where the file is."""
    return project.state / FILE


def read_spoken(path: Path) -> Spoken:
    """Return what was said; nothing where there is no file.

    Raises:
        DataError: the file cannot be read as one.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Spoken)
        for told in found.tasks.values():
            _ = told.exposure
    except FileNotFoundError:
        return Spoken()
    except (OSError, msgspec.MsgspecError, UnicodeError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {error}.",
            "Remove it, then say again who may be served: `stepdown serve share TASK=SHARE`.",
        ) from None
    return found


def write_spoken(path: Path, said: Mapping[str, Told]) -> None:
    """Write what holds for these tasks; the others keep what was said of them."""
    tasks = {**read_spoken(path).tasks, **said}
    with replacing(path) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(Spoken(tasks=tasks))))


def write_start(project: Project, start: Mapping[str, Exposure]) -> None:
    """Write how a gateway was started, for the verbs that ask beside it."""
    told = {name: Told(share=one.share, shadow=one.shadow) for name, one in start.items()}
    with replacing(project.state / STARTED) as temporary:
        temporary.write_bytes(msgspec.json.encode(Spoken(tasks=told)))


def served_now(project: Project, *, running: bool) -> dict[str, Exposure]:
    """Return what is served of each task: as somebody said, else as the gateway that is `running`
    was started, else as the next one would start.

    Raises:
        DataError: a file cannot be read.
    """
    found = start_of(project, {}, shadow=False)
    started = read_spoken(project.state / STARTED).tasks if running else {}
    for tasks in (started, read_spoken(path_of(project)).tasks):
        found |= {name: one.exposure for name, one in tasks.items()}
    return found


def start_of(project: Project, shares: Mapping[str, float], *, shadow: bool) -> dict[str, Exposure]:
    """Return where each task starts: by the options, else by stepdown.toml, else all of it."""
    keys = project.serve
    found = dict.fromkeys(project.tasks, ALL)
    for name in ramped(project):
        share = shares.get(name, 0.0 if shadow else keys.share.get(name, 1.0))
        found[name] = Exposure(share=share, shadow=sample_of(project, name, asked=shadow))
    return found


def ramped(project: Project) -> tuple[str, ...]:
    """Return the tasks that can have a share: an embed task has one tier, and no other vectors."""
    return tuple(name for name, task in project.tasks.items() if task.kind != "embed")


def sample_of(project: Project, task: str, *, asked: bool = False) -> float:
    """Return the share of today's answers that are shadowed: none unless it is configured."""
    keys = project.serve.shadow
    if keys is None:
        return 1.0 if asked else 0.0
    return keys.for_task(task).sample or 0.0


class Exposures:
    """The exposure of each task as it is now: the file is looked at twice a second at most."""

    def __init__(
        self,
        path: Path,
        start: Mapping[str, Exposure],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._start = start
        self._seconds = seconds
        self._seen: tuple[int, int] | None = None
        self._spoken = read_spoken(path)
        self._seen = self._signature()
        self._next = seconds() + LOOK_EVERY_S

    def __call__(self, task: str) -> Exposure:
        """Return a task's exposure."""
        if self._seconds() >= self._next:
            self.look()
        told = self._spoken.tasks.get(task)
        return self._start.get(task, ALL) if told is None else told.exposure

    def begin(self, start: Mapping[str, Exposure]) -> None:
        """Say where tasks start that were not there before; the others stay where they are."""
        self._start = {**start, **self._start}

    def told(self, task: str) -> Told | None:
        """Return what somebody said of a task, None where it is as it started."""
        return self._spoken.tasks.get(task)

    def look(self) -> None:
        """Read the file again where it has changed; a broken one changes nothing."""
        self._next = self._seconds() + LOOK_EVERY_S
        signature = self._signature()
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._spoken = read_spoken(self._path)
        except DataError as error:
            _log.error("%s What held before still holds.", error)

    def _signature(self) -> tuple[int, int] | None:
        try:
            seen = self._path.stat()
        except OSError:
            return None
        return seen.st_mtime_ns, seen.st_ino
