"""What an audit found, as values: the bill of each step, and what could step down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from stepdown.audit.found import Found
from stepdown.audit.rules import TierClass
from stepdown.audit.stakes import Stakes
from stepdown.audit.tail import Tail
from stepdown.core.contract import Contract
from stepdown.core.usage_log import Refused

Work = Literal[
    "classify",
    "route",
    "judge",
    "extract",
    "draft",
    "polish",
    "summarise",
    "convert",
    "tool_call",
    "embed",
    "open-ended",
    "long-context",
    "unknown",
]
Verdict = Literal["yes", "maybe", "no"]


class Counted(Struct, frozen=True):
    """A sum over the calls that told a number, and how many did not. `estimated` calls are known.

    `total` is None when nobody told one.
    """

    total: int | None
    known: int
    unknown: int
    estimated: int = 0


class Cost(Struct, frozen=True):
    """Dollars of the calls whose cost is known, with how many there are by who says so.

    `usd` is None when no cost is known; with `unknown` > 0 it is "at least".
    """

    usd: float | None
    by_basis: Mapping[str, int] = {}
    unknown: int = 0
    sources: tuple[str, ...] = ()

    @property
    def known(self) -> int:
        """The number of calls whose cost is known."""
        return sum(self.by_basis.values())

    @property
    def usd_per_call(self) -> float | None:
        """Mean cost of the calls whose cost is known."""
        return None if self.usd is None else self.usd / self.known


class KindOfWork(Struct, frozen=True):
    """What a step does, with the evidence in words; `n` answers were looked at."""

    kind: Work
    evidence: tuple[str, ...]
    n: int


class Saving(Struct, frozen=True):
    """A range of dollars over the logged period; each end says what it assumes."""

    low_usd: float
    high_usd: float
    low_assumes: str
    high_assumes: str
    break_even: float | None = None


class Proof(Struct, frozen=True, kw_only=True):
    """What it would take to certify that a step loses `max_loss` at most: an assumption's range.

    `rows` are those that decide, `labels` how many of them a person judges, `eval` what asking the
    smaller tier (and, where `judged`, a judge) costs. None: unknown, or no number of rows will do.
    """

    max_loss: float
    rows_low: int | None
    rows_high: int | None
    labels_low: int | None
    labels_high: int | None
    eval_low_usd: float | None
    eval_high_usd: float | None
    judged: bool = False


class Advice(Struct, frozen=True):
    """Whether a step could step down, why, to which class of tier, and what it might save."""

    verdict: Verdict
    why: str
    tier: TierClass
    saving: Saving | None = None
    proof: Proof | None = None


class Measure(Struct, frozen=True, kw_only=True):
    """A saving that needs no other model, over the logged period; both ends in dollars.

    None: nobody lists a price, or it costs nothing until something goes wrong.
    """

    kind: Literal["duplicates", "caching", "batch", "unused tools", "reasoning", "max_tokens"]
    step: str
    calls: int
    low_usd: float | None
    high_usd: float | None
    evidence: str
    assumes: str


class StepBill(Struct, frozen=True, kw_only=True):
    """One step. `rule` says how its name was found; shares are fractions of the known bill.

    `messages` are the different sessions that its calls name (None: no call names one).
    `latency_exact`: its quantiles are of all latencies; else they are within 1%.
    """

    name: str
    rule: str
    calls: int
    errors: int
    calls_with_session: int
    messages: int | None
    messages_exact: bool
    input_tokens: Counted
    output_tokens: Counted
    cached_tokens: Counted
    cost: Cost
    share: float | None
    usd_per_message: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    latency_known: int
    latency_exact: bool
    models: tuple[tuple[str, int], ...]
    with_content: int
    kind: KindOfWork
    advice: Advice
    labels: tuple[str, ...] = ()
    contract: Contract | None = None
    cache_write_tokens: Counted = Counted(None, 0, 0)
    reasoning_tokens: Counted = Counted(None, 0, 0)
    retries: int = 0
    prompts: int = 0
    measures: tuple[Measure, ...] = ()
    after_low_usd: float | None = None
    after_high_usd: float | None = None
    stakes: Stakes = Stakes()
    tail: Tail | None = None  # None: the log holds no content
    found: tuple[Found, ...] = ()  # of a step that nobody named: what its calls are known by

    @property
    def calls_per_message(self) -> float | None:
        """Calls for each message, over the calls that name one."""
        return self.calls_with_session / self.messages if self.messages else None


class WhatWasRead(Struct, frozen=True, kw_only=True):
    """What the audit rests on: rows, refused ones by reason with one example, who named steps."""

    calls: int
    first: str | None
    last: str | None
    refused: tuple[tuple[str, int, Refused], ...] = ()
    unknown_fields: tuple[tuple[str, int], ...] = ()
    with_content: int = 0
    named_by: tuple[tuple[str, int], ...] = ()
    unnamed: int = 0
    formats: tuple[tuple[str, int], ...] = ()
    notes: tuple[tuple[str, int], ...] = ()

    @property
    def refused_rows(self) -> int:
        """The number of refused rows."""
        return sum(count for _, count, _ in self.refused)


class AuditReport(Struct, frozen=True, kw_only=True):
    """The audit of some logs: steps by cost, highest first, and their total."""

    steps: tuple[StepBill, ...]
    calls: int
    errors: int
    messages: int | None
    messages_exact: bool
    cost: Cost
    input_tokens: Counted
    output_tokens: Counted
    cached_tokens: Counted
    read: WhatWasRead
    days: tuple[tuple[str, float], ...] = ()
    reasoning_tokens: Counted = Counted(None, 0, 0)
    month_factor: float | None = None
    month_method: str = ""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All savings that need no other model, the largest first."""
        every = [measure for step in self.steps for measure in step.measures]
        return tuple(sorted(every, key=lambda m: (-(m.high_usd or 0.0), m.kind, m.step)))

    @property
    def usd_per_message(self) -> float | None:
        """What one message costs, over the whole log; None when no call names its message."""
        if self.cost.usd is None or not self.messages:
            return None
        return self.cost.usd / self.messages
