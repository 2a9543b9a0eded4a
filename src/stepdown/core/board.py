"""What a dashboard shows of a project: spend, scores, reasons, dates, as values with their n.

Pure: it knows neither where the sums come from nor how they are drawn. A sum of money holds what is
known, so wherever a cost is unknown it is a lower bound, and `at_least` says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from stepdown.core.lock import Estimate

Kind = Literal["escalation", "outside"]


class Spend(Struct, frozen=True, kw_only=True):
    """What some requests cost, in dollars.

    `both_known` requests have a cost and a baseline; only these are compared.
    """

    requests: int = 0
    cost_usd: float = 0.0
    cost_unknown: int = 0
    both_known: int = 0
    both_cost_usd: float = 0.0
    both_baseline_usd: float = 0.0

    @property
    def known_usd(self) -> float | None:
        """The sum of the known costs, None where none is known."""
        return None if self.cost_unknown >= self.requests else self.cost_usd

    @property
    def at_least(self) -> bool:
        """Whether some costs are unknown, so that the sum is a lower bound."""
        return 0 < self.cost_unknown < self.requests

    @property
    def baseline_usd(self) -> float | None:
        """What the compared requests would have cost on the baseline, None where none is."""
        return self.both_baseline_usd if self.both_known else None

    @property
    def saved_usd(self) -> float | None:
        """What was saved on the compared requests; it may be negative."""
        return self.both_baseline_usd - self.both_cost_usd if self.both_known else None

    @property
    def saved_share(self) -> float | None:
        """The same as a share of the baseline, None where the baseline costs nothing."""
        saved, base = self.saved_usd, self.both_baseline_usd
        return saved / base if saved is not None and base > 0 else None


def total_spend(parts: Iterable[Spend]) -> Spend:
    """Return the sum of several."""
    found = list(parts)
    return Spend(
        requests=sum(one.requests for one in found),
        cost_usd=sum(one.cost_usd for one in found),
        cost_unknown=sum(one.cost_unknown for one in found),
        both_known=sum(one.both_known for one in found),
        both_cost_usd=sum(one.both_cost_usd for one in found),
        both_baseline_usd=sum(one.both_baseline_usd for one in found),
    )


class DayBoard(Struct, frozen=True, kw_only=True):
    """One day (`YYYY-MM-DD`, UTC) of a step. `score` is what people said on that day."""

    day: str
    spend: Spend = Spend()
    score: Estimate | None = None


class TierBoard(Struct, frozen=True, kw_only=True):
    """What one tier answered in one arm; `tier` is None for requests that nobody answered."""

    tier: str | None
    arm: str
    spend: Spend
    mean_latency_s: float | None = None
    recorded: bool = False


class ReasonBoard(Struct, frozen=True, kw_only=True):
    """How many requests went on to a stronger tier, or left the guarantee, for one reason."""

    kind: Kind
    reason: str
    requests: int
    words: str = ""
    moved_to: str = ""


class Locked(Struct, frozen=True, kw_only=True):
    """What the lock says of a step. `floor` is the score that the promise leaves at least.

    `score`, `cost_usd` and `ceiling_score` were measured on the certify rows. `days_left` is until
    `review_by`, None where no review is due. `withdrawn` says what an alarm did to the promise and
    why, "" where none did anything; `telling` are ids of requests that show it best.
    """

    state: str
    promise: str
    figure: str = ""
    level: float | None = None
    bound: float | None = None
    delta: float | None = None
    n: int = 0
    date: str = ""
    review_by: str = ""
    days_left: int | None = None
    floor: float | None = None
    floor_source: str = ""
    score: Estimate | None = None
    ceiling_score: Estimate | None = None
    cost_usd: Estimate | None = None
    withdrawn: str = ""
    telling: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()


class AuditBoard(Struct, frozen=True, kw_only=True):
    """What the last look at a promise found, `at` its time: the loss as audits show it.

    `loss` covers `of`, with an interval that holds at every look. `ringing` says which alarms ring,
    in words; `watched` counts those that can.
    """

    at: str
    loss: Estimate | None = None
    of: str = ""
    against: str = ""
    method: str = ""
    allowed: float | None = None
    allowed_words: str = ""
    ringing: tuple[str, ...] = ()
    watched: int = 0


class PathPoint(Struct, frozen=True, kw_only=True):
    """A policy that was tested beside the locked one: cost (dollars a call) and score."""

    cost_usd: float
    score: float
    passed: bool | None = None
    chosen: bool = False


class StepBoard(Struct, frozen=True, kw_only=True):
    """One step (task) of the project.

    `score` is of all that people said; `counted_only` are requests of a task that stores nothing,
    which are in `spend` too.
    """

    task: str
    locked: Locked | None
    serving: str = ""
    spend: Spend = Spend()
    escalated: int = 0
    outside: int = 0
    abstained: int = 0
    counted_only: int = 0
    days: tuple[DayBoard, ...] = ()
    tiers: tuple[TierBoard, ...] = ()
    reasons: tuple[ReasonBoard, ...] = ()
    score: Estimate | None = None
    path: tuple[PathPoint, ...] = ()
    path_note: str = ""
    audit: AuditBoard | None = None

    @property
    def stored(self) -> int:
        """How many of its requests have a trace."""
        return self.spend.requests - self.counted_only


class Board(Struct, frozen=True, kw_only=True):
    """Everything, from a day on. `behind` rows of the ledger are not in the sums yet."""

    project: str
    baseline: str
    since: str
    until: str
    days: int
    steps: tuple[StepBoard, ...] = ()
    gateways: int = 0
    lock: str | None = None
    lock_problem: str = ""
    behind: int = 0
    lag_s: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def spend(self) -> Spend:
        """The spend of all steps."""
        return total_spend(step.spend for step in self.steps)

    def step(self, task: str) -> StepBoard | None:
        """Return a step by its task, None where there is none."""
        return next((step for step in self.steps if step.task == task), None)
