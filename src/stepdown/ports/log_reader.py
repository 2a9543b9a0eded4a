"""The log reader port: one reader for each log format, yielding batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from stepdown.core.call_columns import Batch


class Log(Protocol):
    """A log as bytes: a file, or a stream that can be opened once."""

    @property
    def name(self) -> str:
        """Its short name, for a person."""
        ...

    @property
    def path(self) -> Path | None:
        """Its file; None: a stream."""
        ...

    @property
    def position(self) -> int:
        """How many bytes of the file, packed as it is, were read so far."""
        ...

    def head(self) -> bytes:
        """Return its first bytes, unpacked, as UTF-8; they may be looked at many times."""
        ...

    def open(self) -> IO[bytes]:
        """Open it from the start, unpacked, as UTF-8."""
        ...


class LogReader(Protocol):
    """Read one format of usage log."""

    @property
    def name(self) -> str:
        """Name of the format, with the document and date that it follows."""
        ...

    def accepts(self, head: bytes) -> bool:
        """Tell by the first bytes of a log whether it has this format."""
        ...

    def read(self, log: "Log | Path", *, batch_rows: int = 4096) -> Iterator[Batch]:
        """Yield the calls in batches; a broken row is refused with its line, never fatal."""
        ...
