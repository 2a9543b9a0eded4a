"""Choose the reader of a log by its content, never by its name, and read many logs in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from stepdown.adapters.logs.litellm import LiteLLM
from stepdown.adapters.logs.openai_pairs import OpenAIPairs
from stepdown.adapters.logs.otel import OTelSpans
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.table import Table
from stepdown.errors import DataError
from stepdown.ports.log_reader import Log, LogReader


def readers(
    *, step: str | None = None, columns: Mapping[str, str] | None = None
) -> tuple[LogReader, ...]:
    """Return a reader of each format, the most telling first.

    `step` names every call; `columns` maps our fields to the columns of a table.
    """
    return (OTelSpans(step), LiteLLM(step), OpenAIPairs(step), Table(step, columns))


def detect(log: Log | Path, among: Sequence[LogReader] | None = None) -> LogReader:
    """Return the reader that knows this log's format.

    Raises:
        DataError: it cannot be read, is empty, or has no format that is known.
    """
    log = Source.of(log)
    head = log.head()
    if not head.strip():
        raise DataError(f"{log}: the file is empty.", "Give a log with at least one call.")
    known = readers() if among is None else among
    for reader in known:
        if reader.accepts(head):
            return reader
    formats = "; ".join(reader.name for reader in known)
    raise DataError(f"{log}: no known log format.", f"Known: {formats}.")
