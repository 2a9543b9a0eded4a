"""What production showed of one task: audits, first calls, feedback and counts, as plain values.

Pure. Records come in the order in which they arrived; it does not know where they were kept.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Audit(Struct, frozen=True, kw_only=True):
    """A request that was drawn. `loss` is None where it was not audited, and `why_not` says why.

    `group` is the caller's session, else a digest of the input, else the request itself.
    """

    trace_id: str
    at: str
    group: str
    propensity: float
    loss: float | None = None
    why_not: str = ""
    confidence: float | None = None
    tier: str | None = None
    input: str | None = None
    kept: str | None = None
    ceiling: str | None = None

    @property
    def by_ceiling(self) -> bool:
        """Whether the ceiling had answered, so that there was nothing to lose."""
        return self.why_not == "ceiling"


class FirstCall(Struct, frozen=True, kw_only=True):
    """What the first tier said of one request; None is unknown."""

    trace_id: str
    at: str
    group: str
    confidence: float | None = None
    familiarity: float | None = None
    agree: bool | None = None


class Said(Struct, frozen=True, kw_only=True):
    """What a person said of an answer: a score 0..1, or the right answer."""

    trace_id: str
    at: str
    by: str
    score: float | None = None
    label: str | None = None


class Day(Struct, frozen=True, kw_only=True):
    """Covered requests of one day: all of them, and of those until its budget ran out (`open`)
    how many an answer below the ceiling was kept for.
    """

    day: str
    requests: int
    open: int
    open_kept: int


class Seen(Struct, frozen=True, kw_only=True):
    """All of it for one task under one certificate. `covered` is what the guarantee is about.

    `usd_this_month` is None where nothing was asked of the ledger.
    """

    audits: tuple[Audit, ...] = ()
    calls: tuple[FirstCall, ...] = ()
    said: tuple[Said, ...] = ()
    days: tuple[Day, ...] = ()
    requests: int = 0
    covered: int = 0
    kept: int = 0
    outside: Mapping[str, int] = {}
    usd_this_month: float | None = None
    usd_unknown: int = 0
    comments: int = 0
    tallied: bool = False
