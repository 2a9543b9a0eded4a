"""The Operations port: what a gateway shows of itself, and what it is told about its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct


class Said(Struct, frozen=True, kw_only=True):
    """What somebody says of an answer. One of the three must be there; `key` makes it once only."""

    trace_id: str
    score: float | None = None
    label: str | None = None
    comment: str | None = None
    by: str = ""
    key: str | None = None


class Operations(Protocol):
    """Readiness, numbers and feedback. `metrics` and `feedback` may wait for a disk."""

    def ready(self) -> Mapping[str, Any]:
        """Return `ready`, and under `checks` what makes it so, as plain JSON."""
        ...

    def metrics(self) -> bytes:
        """Return the numbers in the Prometheus text format."""
        ...

    def feedback(self, said: Said) -> Mapping[str, Any] | None:
        """Keep feedback; return what was kept, None when there is no such trace.

        Raises:
            InputError: the task does not take it, with what it does take.
        """
        ...

    def response(self, route: str, status: int) -> None:
        """Count a response; `route` is one of the gateway's own."""
        ...
