"""One page of traces as a person reads them: no texts, no attempts."""

from __future__ import annotations

from msgspec import Struct


class TraceLine(Struct, frozen=True, kw_only=True):
    """One trace in a line. `words` says why its answer was sent."""

    id: str
    task: str
    at: str
    answered_by: str | None
    words: str
    escalated: bool
    latency_s: float
    cost_usd: float | None
    guarantee: str
    outside: str | None
    confidence: float | None


class TraceFilter(Struct, frozen=True, kw_only=True):
    """Which traces are shown: of a task, escalated for a reason, outside for a reason or `any`."""

    task: str = ""
    reason: str = ""
    outside: str = ""


class TraceList(Struct, frozen=True, kw_only=True):
    """A page of traces, the latest first.

    `next` is where the next page begins, "" at the end. `stopped`: the search stopped there after
    `looked` traces, before the page was full. The choices are (value, words).
    """

    lines: tuple[TraceLine, ...]
    chosen: TraceFilter
    next: str = ""
    stopped: bool = False
    looked: int = 0
    is_first: bool = True
    tasks: tuple[str, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()
    outsides: tuple[tuple[str, str], ...] = ()
