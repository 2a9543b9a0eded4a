"""The RunStore port: where the calls of an eval are kept, so that none is paid for twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from stepdown.core.request import Completion


class SavedCall(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of a tier as it ended. `key` is a digest of request and tier, without any scorer.

    `completion` is None when the tier raised; `failure` is then the kind of error. `latency_s` is
    what the tier reported or the harness measured, None for a recording.
    """

    key: str
    sample_id: str
    completion: Completion | None = None
    signals: Mapping[str, float | None] = {}
    latency_s: float | None = None
    failure: str | None = None
    detail: str = ""


class RunStore(Protocol):
    """Keep calls append-only, per task and tier, and run records under their digest."""

    def calls(self, task: str, tier: str) -> Mapping[str, SavedCall]:
        """Return the finished calls by key; the last one wins; a torn line is not a call."""
        ...

    def append(self, task: str, tier: str, call: SavedCall) -> None:
        """Keep one call for good before returning.

        Raises:
            DataError: it could not be written (a full disk); what was written before is safe.
        """
        ...

    def save_run(self, task: str, run_digest: str, record: Mapping[str, Any]) -> None:
        """Keep the record of a run under its digest."""
        ...

    def run(self, task: str, run_digest: str) -> Mapping[str, Any] | None:
        """Return the record of a run, None when there is none."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...
