"""One writer at a time: a lock on a file beside what is written; it ends with its process."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stepdown.errors import DataError

WAIT_S, LOOK_S = 30.0, 0.05


@contextmanager
def alone(
    path: Path, *, wait_s: float = WAIT_S, clock: Callable[[], float] = time.monotonic
) -> Iterator[None]:
    """Hold the lock `path` while the block runs; wait `wait_s` seconds for another writer.

    Raises:
        DataError: another writer holds it for longer, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror}.",
            "Check the permissions of the folder; nothing was changed.",
        ) from None
    try:
        _take(held, path, clock() + wait_s, wait_s, clock)
        yield
    finally:
        os.close(held)


def _take(held: int, path: Path, until: float, wait_s: float, clock: Callable[[], float]) -> None:
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if clock() >= until:
                raise DataError(
                    f"Another program has been writing in {path.parent} for {wait_s:g} s.",
                    "Wait until it is done, or end it, then run the same command again.",
                ) from None
            time.sleep(LOOK_S)
        else:
            return
