"""`audit`: usage logs in, the bill per step and what could step down out."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path

from stepdown.adapters.logs.detect import detect, readers
from stepdown.adapters.prices.listed import ListPrices
from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.audit.audit import audit
from stepdown.audit.bill import AuditReport
from stepdown.core.call_columns import Batch
from stepdown.errors import DataError

SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".gz")


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


def _matched(said: str) -> list[Path]:
    path = Path(said)
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file() and p.suffix in SUFFIXES)
    return [path] if path.is_file() else sorted(Path(p) for p in glob.glob(said, recursive=True))  # noqa: PTH207 - an absolute glob


def run(
    files: Sequence[Path],
    *,
    today: date,
    step: str | None = None,
    watch: Callable[[Path, int], None] | None = None,
) -> AuditReport:
    """Return the audit of some log files, read in batches. `step` names every call."""
    batches = _batches(files, step, watch)
    return audit(batches, ListPrices(today), estimate=estimate_tokens)


def _batches(
    files: Iterable[Path], step: str | None, watch: Callable[[Path, int], None] | None
) -> Iterator[Batch]:
    for path in files:
        rows = 0
        for batch in detect(path, readers(step=step)).read(path):
            rows += len(batch)
            if watch is not None:
                watch(path, rows)
            yield batch
