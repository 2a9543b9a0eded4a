"""Where logs are and how they are read: paths, folders, globs and standard input, in batches."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from stepdown.adapters.logs.detect import read_logs, readers
from stepdown.adapters.logs.source import Source
from stepdown.core.call_columns import Batch
from stepdown.errors import DataError

STDIN = "-"
DATABASES = (".db", ".sqlite", ".sqlite3")
PACKED = (".gz", ".zst", ".zstd")
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".log", *PACKED, *DATABASES)
# Called with the log's name, how many calls of it were read, and the share of its bytes if known.
Watch = Callable[[str, int, float | None], None]


def files_of(paths: Sequence[str]) -> tuple[Path, ...]:
    """Return the files behind paths, folders and globs, each once.

    Raises:
        DataError: a path leads to no file.
    """
    found: dict[Path, None] = {}
    for said in paths:
        matched = _matched(said)
        if not matched:
            raise DataError(f"There is no log at {said!r}.", "Name a file, a folder or a glob.")
        found |= dict.fromkeys(matched)
    return tuple(found)


def logs_of(paths: Sequence[str], stdin: IO[bytes] | None = None) -> tuple[Source, ...]:
    """Return the logs behind paths; `-` is standard input.

    Raises:
        DataError: a path leads to no file, or standard input was named without being there.
    """
    files = files_of([path for path in paths if path != STDIN])
    logs = [Source(path.name, path) for path in files]
    if STDIN in paths:
        if stdin is None:
            raise DataError("There is no standard input here.", "Name files instead of -.")
        logs.append(Source.stdin(stdin))
    return tuple(logs)


def batches_of(
    logs: Sequence[Source | Path],
    *,
    step: str | None = None,
    columns: Mapping[str, str] | None = None,
    watch: Watch | None = None,
) -> Iterator[Batch]:
    """Yield the calls of logs in batches. `step` names every call; `columns` maps a table's."""
    rows: dict[str, int] = {}
    sizes = _sizes(logs)
    for batch in read_logs(logs, readers(step=step, columns=columns)):
        rows[batch.source] = rows.get(batch.source, 0) + len(batch)
        if watch is not None:
            size = sizes.get(batch.source)
            watch(batch.source, rows[batch.source], batch.position / size if size else None)
        yield batch


def _sizes(logs: Sequence[Source | Path]) -> dict[str, int]:
    """Return the bytes of each log that is a file, by what its batches call it."""
    paths = [log if isinstance(log, Path) else log.path for log in logs]
    known = [path for path in paths if path is not None]
    sizes = {path: path.stat().st_size for path in known}
    return {name: size for path, size in sizes.items() for name in (str(path), path.name)}


def _matched(said: str) -> list[Path]:
    path = Path(said)
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file() and p.suffix in SUFFIXES)
    return [path] if path.is_file() else sorted(Path(p) for p in glob.glob(said, recursive=True))  # noqa: PTH207 - an absolute glob
