"""Choose the reader of a log by its content, never by its name, and read many logs in turn.

Others can add a format: an entry point of the group `stepdown.log_readers` that names a function or
class which takes the user's `step` (None: unset) and returns a `LogReader`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol, runtime_checkable

from stepdown.adapters.logs.batch_files import BatchFiles
from stepdown.adapters.logs.bedrock import Bedrock
from stepdown.adapters.logs.claude_code import ClaudeCode
from stepdown.adapters.logs.codex import Codex
from stepdown.adapters.logs.helicone import Helicone
from stepdown.adapters.logs.langfuse import Langfuse
from stepdown.adapters.logs.langsmith import LangSmith
from stepdown.adapters.logs.litellm import LiteLLM
from stepdown.adapters.logs.llm_database import LlmDatabase
from stepdown.adapters.logs.openai_pairs import OpenAIPairs
from stepdown.adapters.logs.otel import OTelSpans
from stepdown.adapters.logs.own_ledger import OwnLedger
from stepdown.adapters.logs.portkey import Portkey
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.table import Table
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Refused
from stepdown.errors import ConfigError, DataError
from stepdown.ports.log_reader import Log, LogReader

GROUP = "stepdown.log_readers"
# Each format, the most telling first.
FORMATS: tuple[Callable[[str | None], LogReader], ...] = (
    OwnLedger,
    LlmDatabase,
    OTelSpans,
    Langfuse,
    LiteLLM,
    Helicone,
    LangSmith,
    Bedrock,
    Portkey,
    ClaudeCode,
    Codex,
    BatchFiles,
    OpenAIPairs,
)


@runtime_checkable
class ReadsTogether(Protocol):
    """A reader whose logs belong together, such as a batch's input and output."""

    def read_all(self, logs: Iterable[Log]) -> Iterator[Batch]:
        """Yield the calls of all the logs."""
        ...


def readers(
    *,
    step: str | None = None,
    columns: Mapping[str, str] | None = None,
    others: Iterable[EntryPoint] | None = None,
) -> tuple[LogReader, ...]:
    """Return a reader of each format: those of others, then ours, the most telling first.

    `step` names every call; `columns` maps our fields to the columns of a table: then a table is
    what the user says that they have. `others` are entry points (None: what is installed).

    Raises:
        ConfigError: an installed reader cannot be loaded.
    """
    found = entry_points(group=GROUP) if others is None else others
    added = tuple(_loaded(entry, step) for entry in found)
    table = Table(step, columns)
    ours = tuple(format_(step) for format_ in FORMATS)
    return (table, *added, *ours) if columns else (*added, *ours, table)


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


def read_logs(
    logs: Sequence[Log | Path], among: Sequence[LogReader] | None = None
) -> Iterator[Batch]:
    """Yield the calls of many logs, each by the reader of its format.

    One of several logs that cannot be read is refused, and the rest stands.

    Raises:
        DataError: no log can be read.
    """
    known = readers() if among is None else among
    together: dict[int, list[Log]] = {}
    failures: list[DataError] = []
    for log in map(Source.of, logs):
        try:
            reader = detect(log, known)
            if isinstance(reader, ReadsTogether):
                together.setdefault(known.index(reader), []).append(log)
            else:
                yield from reader.read(log)
        except DataError as error:
            failures.append(error)
            if len(failures) < len(logs):
                yield Batch(refused=(refusal(error, str(log)),), source=log.name)
    if failures and len(failures) == len(logs):
        raise failures[0]
    for place, belonging in together.items():
        reader = known[place]
        if isinstance(reader, ReadsTogether):
            yield from reader.read_all(belonging)


def refusal(error: DataError, log: str) -> Refused:
    """Return a log that cannot be read as one that was refused."""
    return Refused(log, 0, str(error).removeprefix(f"{log}: ").rstrip("."))


def _loaded(entry: EntryPoint, step: str | None) -> LogReader:
    try:
        reader: LogReader = entry.load()(step)
    except Exception as error:
        raise ConfigError(
            f"The log reader {entry.name!r} ({entry.value}) cannot be loaded: {error}.",
            "Update or remove the package that brings it.",
        ) from error
    missing = [name for name in ("name", "accepts", "read") if not hasattr(reader, name)]
    if missing:
        raise ConfigError(
            f"The log reader {entry.name!r} ({entry.value}) has no {missing[0]!r}.",
            "It must be a LogReader: name, accepts, read.",
        )
    return reader
