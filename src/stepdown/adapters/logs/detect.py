"""Choose the reader of a file by its content, never by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from stepdown.adapters.logs.lines import first_bytes
from stepdown.adapters.logs.litellm import LiteLLM
from stepdown.adapters.logs.openai_pairs import OpenAIPairs
from stepdown.adapters.logs.otel import OTelSpans
from stepdown.adapters.logs.table import Table
from stepdown.errors import DataError
from stepdown.ports.log_reader import LogReader


def readers(
    *, step: str | None = None, columns: Mapping[str, str] | None = None
) -> tuple[LogReader, ...]:
    """Return a reader of each format, the most telling first.

    `step` names every call; `columns` maps our fields to the columns of a table.
    """
    return (OTelSpans(step), LiteLLM(step), OpenAIPairs(step), Table(step, columns))


def detect(path: Path, among: Sequence[LogReader] | None = None) -> LogReader:
    """Return the reader that knows this file's format.

    Raises:
        DataError: the file cannot be read, is empty, or has no format that is known.
    """
    first = first_bytes(path)
    if not first.strip():
        raise DataError(f"{path}: the file is empty.", "Give a log with at least one call.")
    known = readers() if among is None else among
    for reader in known:
        if reader.accepts(first):
            return reader
    formats = "; ".join(reader.name for reader in known)
    raise DataError(f"{path}: no known log format.", f"Known: {formats}.")
