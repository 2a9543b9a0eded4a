"""The Ledger port on a local disk: append to the spool at once, fill SQLite in the background.

`append` is a copy into a mapped file and takes no part of the database, so an answer never waits
for it. The directory must be on a local file system: the locks are advisory and POSIX.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from stepdown.adapters.storage import database
from stepdown.adapters.storage.beside_rows import Kept, encode_beside
from stepdown.adapters.storage.filler_process import FillerProcess
from stepdown.adapters.storage.filling import busy, count_lines, fill, only_filler
from stepdown.adapters.storage.holding import Holding
from stepdown.adapters.storage.places import DATABASE, LOCK, SPOOL
from stepdown.adapters.storage.rows import encode_trace
from stepdown.adapters.storage.spool import BAD, SUFFIX, SpoolWriter
from stepdown.core.beside import Beside
from stepdown.core.trace import Trace
from stepdown.errors import DataError

LATE_S = 10.0  # what waits longer than this is filled here, whoever should have done it
Filled = Literal["here", "beside", "elsewhere"]
_LONGEST_PAUSE_S = 30.0
_log = logging.getLogger("stepdown.ledger")


class SpoolLedger:
    """Keep traces in `directory`: `ledger.sqlite`, and `spool/` for what is not in it yet.

    `fill_every_s` is the pause between two fillings, the first of which comes after the first
    trace; None leaves them to `flush`. `filled` says who does it: a thread `here`, a process
    `beside` this one, which a process that answers requests has no time for, or that of another
    process (`elsewhere`). What dead processes left in the spool is recovered by all of them.

    Raises:
        DataError: the file in `directory` is not a ledger, or of a newer version.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        fill_every_s: float | None = 0.5,
        wait_s: float = 30.0,
        filled: Filled = "here",
    ) -> None:
        self.directory = Path(directory)
        self.path = self.directory / DATABASE
        self._spool = self.directory / SPOOL
        self._fill_every_s = fill_every_s
        self._wait_s = wait_s
        self._filled = filled
        self._filler = FillerProcess(self.directory, fill_every_s or 0.0)
        self._prepare()
        self._writer = SpoolWriter(self._spool)
        self._holding = Holding(self._writer.append)
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def append(self, trace: Trace) -> None:
        """Write one trace to the spool; what it cannot take is held in memory and counted."""
        self._append(encode_trace(trace))

    def note(self, record: Beside) -> None:
        """Write a record beside the traces to the spool, likewise."""
        self._append(encode_beside(record))

    def _append(self, line: bytes) -> None:
        self._holding.append(line)
        if self._thread is None and self._fill_every_s is not None:
            self._start(self._fill_every_s)

    def flush(self) -> int:
        """Move everything from the spool into the database; return how many traces were new.

        Lines of other living processes are read too; they stay in their spool until it is
        rotated.

        Raises:
            DataError: another process keeps the filler's lock, or the database cannot be used.
        """
        new = self._fill(unfinished=True, wait_s=self._wait_s)
        if new is None:
            raise busy(self.directory)
        return new

    def trace(self, trace_id: str) -> Trace | None:
        """Return one trace, None when there is none; looks into the spool as well."""
        found = database.find(self.path, trace_id)
        if found is None:
            if self._waiting():
                self.flush()
            # Asked again in any case: another process may have moved it after the first look.
            found = database.find(self.path, trace_id)
        return found

    def traces(self, task: str | None = None, since: str | None = None) -> Iterator[Trace]:
        """Yield traces in the order of time, those in the spool included.

        `since` is an ISO 8601 time as the traces carry it, itself included.
        """
        self.flush()
        yield from database.select(self.path, task, since)

    def records(
        self, kind: type[Kept], *, task: str | None = None, since: str | None = None
    ) -> Iterator[Kept]:
        """Yield the records of one kind in the order of time, those in the spool included."""
        self.flush()
        yield from database.select_records(self.path, kind, task, since)

    def about(self, trace_id: str) -> list[Beside]:
        """Return what is kept beside one trace, what waits in the spool not included."""
        return database.about(self.path, trace_id)

    def shadow_spend(
        self, *, since: str, ran: Literal["policy", "ceiling"] = "policy"
    ) -> dict[str, float]:
        """Return what shadow runs (or audits, which `ran` the ceiling) of each task cost from a
        time on, as far as the database knows.

        It does not read the spool, so that it may be asked often.
        """
        return database.shadow_spend(self.path, since, ran)

    def lag_s(self) -> float:
        """Return the age of the oldest line that waits in spool or memory, 0 where none does.

        It reads names and times only, so that it may be asked often.
        """
        oldest = None
        for path in self._spool.glob(f"*{SUFFIX}"):
            try:
                seen = path.stat()
            except FileNotFoundError:  # moved into the database while we looked
                continue
            if seen.st_size and (oldest is None or seen.st_mtime < oldest):
                oldest = seen.st_mtime
        waits_s = 0.0 if oldest is None else time.time() - oldest
        return max(0.0, waits_s, self._holding.age_s)

    def rows(self, view: str) -> list[dict[str, Any]]:
        """Return the rows of a view of schema.sql, such as `spend_by_task`, flushed first.

        Raises:
            DataError: the ledger has no such view.
        """
        self.flush()
        return database.rows_of(self.path, view)

    def counts(self) -> Mapping[str, Any]:
        """Return `traces` and `attempts` in the database, `waiting` and `broken` lines.

        Where there are any, also those of this process that are `held` in memory because the spool
        takes none, and those that were `lost`.

        A line of another living process may count as waiting after it has been read.
        """
        return {
            **database.count(self.path),
            "waiting": self._waiting(),
            "broken": count_lines(self._spool, BAD),
            **{name: count for name, count in self.unwritten().items() if count},
        }

    def unwritten(self) -> Mapping[str, int]:
        """Return how many lines are `held` in memory and how many were `lost`; it reads no file."""
        return {"held": self._holding.held, "lost": self._holding.lost}

    def close(self) -> None:
        """Stop the background thread, flush, and let go of the files.

        What another filler keeps us from moving stays in the spool for the next one.
        """
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._restore()
        self._holding.retry()
        self._writer.close()
        self._filler.stop(self._wait_s)
        try:
            self._fill(unfinished=False, wait_s=self._wait_s)
        except OSError as error:
            raise DataError(
                f"the ledger at {self.directory} could not be flushed: {error}.",
                f"Its spool keeps what is there; {self._holding.held} lines were lost in memory.",
            ) from None

    def __enter__(self) -> SpoolLedger:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _prepare(self) -> None:
        self._spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.path.exists():
            self._create()
        if database.version_of(self.path) < database.VERSION:
            self._migrate()

    def _restore(self) -> None:
        """Make the folder again where somebody removed it under us."""
        if not self._spool.is_dir():
            with suppress(DataError, OSError):
                self._prepare()

    def _create(self) -> None:
        with only_filler(self.directory / LOCK, self._wait_s) as alone:
            if not alone:
                raise busy(self.directory)
            database.create(self.path)

    def _migrate(self) -> None:
        with only_filler(self.directory / LOCK, self._wait_s) as alone:
            if not alone:
                raise busy(self.directory)
            database.migrate(self.path)

    def _waiting(self) -> int:
        return count_lines(self._spool, SUFFIX)

    def _fill(self, *, unfinished: bool, wait_s: float) -> int | None:
        """Rotate and fill; None when another filler is at work."""
        with only_filler(self.directory / LOCK, wait_s) as alone:
            if not alone:
                return None
            self._writer.rotate()
            with database.opened(self.path) as db:
                return fill(db, self._spool, unfinished=unfinished)

    def _start(self, pause_s: float) -> None:
        with self._starting:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(
                    target=self._keep_filling, args=(pause_s,), name="stepdown-ledger", daemon=True
                )
                self._thread.start()

    def _keep_filling(self, pause_s: float) -> None:
        """Fill until closed; after a failure wait longer, for the spool keeps everything."""
        pause = pause_s
        while not self._stopping.wait(pause):
            self._restore()
            self._holding.retry()
            try:
                self._turn()
                pause = pause_s
            except (DataError, OSError) as error:
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                _log.warning("the ledger is behind, its spool keeps everything: %s", error)

    def _turn(self) -> None:
        """Fill, or hand the lines over to who fills: it reads finished files only."""
        if self._others_fill():
            self._writer.rotate()
        else:
            self._fill(unfinished=False, wait_s=0.0)

    def _others_fill(self) -> bool:
        if self._filled == "beside":
            return self._filler.works()
        return self._filled == "elsewhere" and self.lag_s() < LATE_S


def open_ledger(path: Path | str, *, fill_every_s: float | None = 0.5) -> SpoolLedger:
    """Open the ledger that is there, by its directory or its `ledger.sqlite`.

    Raises:
        DataError: there is none, it is not a ledger, or it is of a newer version.
    """
    place = Path(path)
    directory = place if place.is_dir() else place.parent
    file = directory / DATABASE if place.is_dir() else place
    if file.name != DATABASE and file.exists():
        raise DataError(f"{file} is not a ledger of Stepdown.", f"A ledger is named {DATABASE}.")
    if not file.exists():
        hint = "Serve some requests first, or name the ledger's directory."
        raise DataError(f"there is no ledger at {place}.", hint)
    return SpoolLedger(directory, fill_every_s=fill_every_s)
