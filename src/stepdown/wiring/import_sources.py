"""What an eval set can be imported from: logs, tables and frames, as candidates, read anew
each time.

A usage log is known by its content; everything else is a table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from stepdown.adapters.logs.detect import readers
from stepdown.adapters.logs.source import Source as LogFile
from stepdown.adapters.tables.frames import FrameRows
from stepdown.adapters.tables.lenient import Broken, read_leniently
from stepdown.core.task import Task
from stepdown.core.usage_log import Refused
from stepdown.errors import ConfigError, DataError
from stepdown.evals.candidates import (
    Judged,
    LogAsked,
    Mapped,
    TurnedDown,
    from_call,
    from_row,
    mapped,
)
from stepdown.evals.dataset import Columns
from stepdown.ports.log_reader import LogReader

Watch = Callable[[str, int], None]
Form = Literal["auto", "log", "table"]
TABLES = (".jsonl", ".ndjson", ".csv", ".parquet")
WATCH_EVERY = 4096


class Source:
    """One source of candidates. `rows` counts the last reading's, `other` its other steps."""

    read_as = ""
    reference_is: Literal["gold", "ceiling"] = "gold"

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = 0
        self.other: Counter[str] = Counter()

    def digest(self) -> str:
        """Return the digest of the source."""
        raise NotImplementedError

    def judged(self, watch: Watch | None = None) -> Iterator[Judged]:
        """Yield what each row becomes."""
        self.rows, self.other = 0, Counter()
        for one in self._judged():
            self.rows += 1
            if watch is not None and self.rows % WATCH_EVERY == 0:
                watch(self.name, self.rows)
            yield one

    def _judged(self) -> Iterator[Judged]:
        raise NotImplementedError


class TableSource(Source):
    """A table in a file, or a frame; `said` are the columns that the user named."""

    def __init__(
        self,
        name: str,
        rows: Callable[[], Iterable[tuple[int, Any]]],
        said: Mapping[str, str | None],
        task: Task | None,
        *,
        keep: tuple[str, ...] = (),
        data: Columns | None = None,
        read_as: str = "table",
        digest: Callable[[], str],
    ) -> None:
        super().__init__(name)
        self._rows, self._said, self._task, self._keep = rows, said, task, keep
        self._data, self.read_as, self._digest = data, read_as, digest

    def digest(self) -> str:
        """Return the digest of the file, or of the frame's rows."""
        return self._digest()

    def _judged(self) -> Iterator[Judged]:
        where: Mapped | None = None
        for line, row in self._rows():
            if isinstance(row, Broken):
                yield TurnedDown(
                    source=self.name, line=line, kind="broken row", why=row.why, excerpt=row.excerpt
                )
                continue
            where = where or self._where(row)
            yield from_row(row, where, self._task, self.name, line)

    def _where(self, row: Mapping[str, Any]) -> Mapped:
        from msgspec.structs import replace

        found = mapped(
            list(row), said=self._said, task=self._task, source=self.name, data=self._data
        )
        return replace(found, keep=self._keep)


class LogSource(Source):
    """A usage log, whose logged answers become the references."""

    reference_is = "ceiling"

    def __init__(self, path: Path, reader: LogReader, asked: LogAsked) -> None:
        super().__init__(str(path))
        self._path, self._reader, self._asked = path, reader, asked
        self.read_as = f"log: {reader.name}"

    def digest(self) -> str:
        """Return the digest of the file."""
        return file_digest(self._path)

    def _judged(self) -> Iterator[Judged]:
        for batch in self._reader.read(self._path):
            yield from (self._refused(one) for one in batch.refused)
            for call in batch.calls():
                if self._asked.step is not None and call.step != self._asked.step:
                    self.other[call.step or "(no step)"] += 1
                    continue
                yield from_call(call, self._asked, self.name, _line(call.source))

    def _refused(self, one: Refused) -> TurnedDown:
        return TurnedDown(
            source=self.name, line=one.line, kind="broken row", why=one.why, excerpt=one.excerpt
        )


def table_source(
    path: Path,
    said: Mapping[str, str | None],
    task: Task | None,
    *,
    encoding: str = "utf-8",
    keep: tuple[str, ...] = (),
    data: Columns | None = None,
) -> TableSource:
    """Return a table in a file as a source."""
    return TableSource(
        str(path),
        lambda: read_leniently(path, encoding=encoding),
        said,
        task,
        keep=keep,
        data=data,
        digest=lambda: file_digest(path),
    )


def frame_source(
    frame: Any,
    said: Mapping[str, str | None],
    task: Task | None,
    *,
    name: str = "frame",
    keep: tuple[str, ...] = (),
    data: Columns | None = None,
) -> TableSource:
    """Return a data frame, or a list of objects, as a source."""
    rows = FrameRows(frame)
    return TableSource(
        name,
        lambda: rows,
        said,
        task,
        keep=keep,
        data=data,
        read_as="frame",
        digest=lambda: _rows_digest(rows),
    )


def log_reader(path: Path, form: Form) -> LogReader | None:
    """Return the reader of a log, None where the file is a table.

    Raises:
        DataError: it cannot be read, or was called a log and is none that is known.
    """
    first = LogFile.of(path).head()
    if not first.strip():
        raise DataError(f"{path} is empty.", "An eval needs at least one labelled row.")
    if form == "table":
        return None
    known = readers()
    found = next((reader for reader in known if reader.accepts(first)), None)
    if found is None or (form == "auto" and found is known[-1] and not _tells_calls(first)):
        if form == "log":
            names = "; ".join(reader.name for reader in known)
            raise DataError(f"{path}: no known log format.", f"Known: {names}.")
        return None
    return found


def _tells_calls(first: bytes) -> bool:
    """Say whether a table is one of calls: Parquet, which its first bytes do not tell, is not."""
    return not first.startswith(b"PAR1")


def check_ending(path: Path) -> None:
    """Refuse a file that is neither a log nor a table."""
    if path.suffix.lower() not in TABLES:
        raise DataError(
            f"{path}: neither a log that is known nor a table.",
            f"Tables end in {', '.join(TABLES)}; unpack a packed one first.",
        )


def step_asked(task: Task, step: str | None, known: Mapping[str, int]) -> str | None:
    """Return the step whose calls are the task's, None where a log names no steps at all.

    Raises:
        ConfigError: the log holds no such step; names those that there are.
    """
    wanted = step or task.name
    named = {name: n for name, n in known.items() if name != "(no step)"}
    if wanted in named:
        return wanted
    if not named and step is None:
        return None
    said = ", ".join(
        f"{name} ({n:,})" for name, n in sorted(named.items(), key=lambda p: -p[1])[:12]
    )
    raise ConfigError(
        f"The log holds no calls of the step {wanted!r}.",
        f"Its steps: {said or 'none has a name'}. Say which is the task's: --step NAME.",
    )


def steps_in(path: Path, reader: LogReader) -> Counter[str]:
    """Return how many calls each step of a log has."""
    found: Counter[str] = Counter()
    for batch in reader.read(path):
        found.update(step or "(no step)" for step in batch.words("step"))
    return found


def file_digest(path: Path) -> str:
    """Return the digest of a file, read in pieces."""
    from hashlib import file_digest as digest_of

    try:
        with path.open("rb") as file:
            return "sha256:" + digest_of(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _rows_digest(rows: Iterable[tuple[int, Any]]) -> str:
    from hashlib import sha256

    import msgspec

    whole = sha256()
    for _, row in rows:
        whole.update(msgspec.json.encode(row, order="sorted", enc_hook=str) + b"\n")
    return "sha256:" + whole.hexdigest()


def _line(place: str) -> int:
    """Return the line in a call's place, such as `log.jsonl:12`; 0 where there is none."""
    tail = place.rpartition(":")[2]
    return int(tail) if tail.isdigit() else 0
