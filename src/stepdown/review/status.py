"""What is known of each task's promise in production: the value that reports and pages show.

Pure values. Unknown is None and never 0. Times are ISO 8601, days are dates in UTC, money is in US
dollars, fractions are 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from stepdown.core.withdrawal import Evidence, Withdrawal

State = Literal["certified", "declared", "ceiling", "withdrawn", "overdue", "none"]


class Evidenced(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much was seen under the lock that is served: counts.

    `drawn` requests were drawn for an audit: `audited` were compared, `by_ceiling` the ceiling had
    answered (nothing to lose), and `missed` were not audited, by reason. `labels`, `scores` and
    `comments` are feedback; `joined` of it is about an audited answer, `conflicts` names requests
    on which people contradict each other and that are left out.
    """

    requests: int = 0
    kept: int = 0
    drawn: int = 0
    audited: int = 0
    by_ceiling: int = 0
    missed: Mapping[str, int] = {}
    labels: int = 0
    scores: int = 0
    joined: int = 0
    replaced: int = 0
    conflicts: tuple[str, ...] = ()
    first_at: str | None = None
    last_at: str | None = None


class Measured(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The loss over all covered traffic, as audits show it, with an interval valid at every look.

    `covers` is the share of what was drawn that could be audited while the budget lasted; the
    figure is about that part. `against` says whose answers count as right.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    n: int = 0
    of: str = "all covered traffic"
    against: str = "the ceiling's own answers"
    method: str = ""
    covers: float | None = None
    allowed: float | None = None
    allowed_words: str = ""


class Alarm(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One alarm: it rings where `evidence` reached 1 / `alpha` at some look.

    `allowed` is the share that the alarm takes as no change, `seen` the share since `since`, the
    day on which a change most likely began. `first_day` is the first day on which it could be seen.
    `why_not` says why it watches nothing.
    """

    kind: Evidence
    what: str
    rings: bool = False
    alpha: float = 0.0
    evidence: float = 0.0
    allowed: float | None = None
    seen: float | None = None
    votes: int = 0
    days: int = 0
    horizon_days: int = 0
    since: str | None = None
    first_day: str | None = None
    why_not: str = ""


class Example(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request that tells why an alarm rang; texts are there only where they were kept."""

    trace_id: str
    at: str
    loss: float | None = None
    confidence: float | None = None
    tier: str | None = None
    input: str | None = None
    kept: str | None = None
    ceiling: str | None = None


class Budgeted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What audits cost this month against their budget; `unknown` counts audits without a cost."""

    share: float = 0.0
    usd_this_month: float | None = None
    unknown: int = 0
    usd_per_month: float | None = None
    usd_allowed_today: float | None = None


class TaskStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One task. `state` is that of its guarantee now; `outside` counts reasons of requests that the
    guarantee does not cover, `unfamiliar` the share of inputs less familiar than nearly all that
    were certified.
    """

    task: str
    state: State
    promise: str
    level: float | None = None
    review_by: str = ""
    days_left: int | None = None
    certified_on: str = ""
    evidence: Evidenced = Evidenced()
    measured: Measured = Measured()
    alarms: tuple[Alarm, ...] = ()
    withdrawal: Withdrawal | None = None
    examples: tuple[Example, ...] = ()
    outside: Mapping[str, int] = {}
    outside_share: float | None = None
    unfamiliar: float | None = None
    unfamiliar_n: int = 0
    budget: Budgeted = Budgeted()
    notes: tuple[str, ...] = ()


class Status(Struct, frozen=True, kw_only=True):
    """All tasks of the lock that is served, as they stood `at` a time."""

    at: str
    lock: str
    tasks: tuple[TaskStatus, ...]


def evidence_words(alarm: Alarm) -> str:
    """Return the evidence beside what rings; beyond a million nobody compares."""
    limit = f"{1 / alarm.alpha:.3g}"
    return (
        f"over a million of {limit}" if alarm.evidence > 1e6 else f"{alarm.evidence:.3g} of {limit}"
    )
