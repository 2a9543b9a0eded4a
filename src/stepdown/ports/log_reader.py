"""The log reader port: one reader for each log format, yielding batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from stepdown.core.usage_log import Batch


class LogReader(Protocol):
    """Read one format of usage log."""

    @property
    def name(self) -> str:
        """Name of the format, with the document and date that it follows."""
        ...

    def accepts(self, first: bytes) -> bool:
        """Tell by the first bytes of a file whether it has this format."""
        ...

    def read(self, path: Path, *, batch_rows: int = 4096) -> Iterator[Batch]:
        """Yield the file's rows in batches; a broken row is refused with its line, never fatal."""
        ...
