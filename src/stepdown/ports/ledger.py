"""The Ledger port: where traces are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeVar

from stepdown.core.beside import Beside
from stepdown.core.trace import Trace

Kept = TypeVar("Kept", bound=Beside)


class Ledger(Protocol):
    """Keep every trace, append-only.

    `append` returns when the trace is in the local spool, before the answer is sent; the
    database is filled from the spool off the hot path, idempotent by attempt id.
    """

    def append(self, trace: Trace) -> None:
        """Write one trace to the spool. Raises OSError only if the spool cannot be written."""
        ...

    def flush(self) -> int:
        """Move everything from the spool into the database; return how many traces were new."""
        ...

    def trace(self, trace_id: str) -> Trace | None:
        """Return one trace, None when there is none."""
        ...

    def traces(self, task: str | None = None, since: str | None = None) -> Iterator[Trace]:
        """Yield traces in the order of time."""
        ...

    def note(self, record: Beside) -> None:
        """Write one record beside the traces to the spool, as `append` does."""
        ...

    def records(
        self, kind: type[Kept], *, task: str | None = None, since: str | None = None
    ) -> Iterator[Kept]:
        """Yield the records of one kind in the order of time."""
        ...

    def counts(self) -> Mapping[str, Any]:
        """Return how many traces and attempts there are, and how many wait in the spool."""
        ...

    def close(self) -> None:
        """Flush and let go of the files."""
        ...
