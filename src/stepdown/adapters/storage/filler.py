"""The process that fills a ledger's database from its spool, beside those that answer requests.

    python -P -m stepdown.adapters.storage.filler DIRECTORY PAUSE_S

It lives as long as its standard input is open: whoever started it holds the other end, so it ends
with that process however that ends, after a last look at what it left behind. It has nothing to
lose: killed at any moment, the spool still holds what was not committed.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sqlite3
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from stepdown.adapters.storage import database
from stepdown.adapters.storage.filling import fill, only_filler
from stepdown.adapters.storage.places import DATABASE, LOCK, SPOOL
from stepdown.adapters.storage.rollup import Rollup
from stepdown.errors import DataError

LONGEST_PAUSE_S = 30.0
NICENESS = 5  # answers come first; what waits is in the spool
CHECKPOINT_PAGES = 4000  # 16 MB of WAL: pages that change often are copied less often
COUNT_S = 0.5  # a turn's time for the sums by day: an old ledger is counted over many turns
_LAST_LOOK_S = 0.2  # the system may close the pipe of a killed process before its spool file
_log = logging.getLogger("stepdown.ledger")


class Filler:
    """Fills one ledger and keeps its database open, unless the file is replaced."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / DATABASE
        self._spool = directory / SPOOL
        self._lock = directory / LOCK
        self._open = ExitStack()
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._rollup = Rollup(self._path)
        self._behind = 1  # nobody knows before the first look

    def turn(self) -> int:
        """Move every finished file of the spool; return how many traces were new."""
        with only_filler(self._lock, 0.0) as alone:
            new = fill(self._database(), self._spool, unfinished=False) if alone else 0
        self._count(new)
        return new

    def _count(self, new: int) -> None:
        """Bring the sums by day up to date; they are made from the ledger, so nothing is lost."""
        if new or self._behind:
            try:
                self._behind = self._rollup.catch_up(COUNT_S)
            except DataError as error:
                _log.warning("the sums by day are behind: %s", error)

    def close(self) -> None:
        """Let go of the database."""
        self._db = None
        self._open.close()

    def _database(self) -> sqlite3.Connection:
        found = self._path.stat()
        if self._db is None or self._file != (found.st_dev, found.st_ino):
            self.close()
            self._db = self._open.enter_context(database.opened(self._path))
            self._db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            self._file = (found.st_dev, found.st_ino)
        return self._db


def keep_filling(filler: Filler, lifeline: int, pause_s: float) -> None:
    """Fill until nobody holds the other end of `lifeline`; after a failure wait longer."""
    pause = pause_s
    while not select.select([lifeline], [], [], pause)[0]:
        pause = pause_s if _tried(filler) else min(2 * pause, LONGEST_PAUSE_S)
    _tried(filler)
    time.sleep(_LAST_LOOK_S)
    _tried(filler)


def _tried(filler: Filler) -> bool:
    try:
        filler.turn()
    except (DataError, OSError, sqlite3.Error) as error:
        filler.close()
        _log.warning("the ledger is behind, its spool keeps everything: %s", error)
        return False
    return True


def main(directory: str, pause_s: str) -> None:
    """Fill until standard input ends; a signal to stop is for those that answer."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    filler = Filler(Path(directory))
    keep_filling(filler, sys.stdin.fileno(), float(pause_s))
    filler.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
