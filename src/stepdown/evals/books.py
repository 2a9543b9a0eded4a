"""The books of one tier's run, and how far it is for whoever watches."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from stepdown.core.outcome import Outcome
from stepdown.ports.run_store import SavedCall

EVERY_S = 0.1  # between two reports: ten a second look smooth, and cost nothing


class Progress(Struct, frozen=True, kw_only=True):
    """How far a tier is. `reused` were kept by an earlier run and cost nothing now.

    `cost_usd` is what this run spent on calls whose cost is known; `cost_unknown` counts the rest.
    `ended` marks the last report.
    """

    task: str
    tier: str
    total: int
    done: int = 0
    failed: int = 0
    reused: int = 0
    cost_usd: float = 0.0
    cost_unknown: int = 0
    tokens: int = 0
    eta_s: float | None = None
    ended: bool = False


class Books:
    """Counts of one tier, told at most ten times a second."""

    def __init__(
        self,
        task: str,
        tier: str,
        total: int,
        report: Callable[[Progress], None] | None,
        clock: Callable[[], float],
        *,
        free: bool = False,
    ) -> None:
        """Open the books; `free` says that calls of this tier repeat what was paid for before."""
        self._free = free
        self.task, self.tier, self.total = task, tier, total
        self.done = self.failed = self.reused = self.called = self.cost_unknown = self.tokens = 0
        self.cost_usd = 0.0
        self._report = report
        self._clock = clock
        self._told_s = float("-inf")
        self._first_s: float | None = None

    def note(self, outcome: Outcome, call: SavedCall | None, *, reused: bool) -> None:
        """Count one end; without a call nobody was asked."""
        self.done += 1
        self.failed += outcome.failure is not None
        if reused:
            self.reused += 1
        elif call is not None:
            self._spent(outcome, call)
        if self._report is not None:
            self._tell(self._report)

    def end(self) -> None:
        """Tell how it ended."""
        if self._report is not None:
            self._report(self._progress(0.0, ended=True))

    def _spent(self, outcome: Outcome, call: SavedCall) -> None:
        self.called += 1
        if not self._free:
            self.cost_usd += outcome.cost_usd or 0.0
            self.cost_unknown += outcome.cost_usd is None
        if call.completion is not None:
            usage = call.completion.usage
            self.tokens += (usage.input_tokens or 0) + (usage.output_tokens or 0)

    def _tell(self, report: Callable[[Progress], None]) -> None:
        now = self._clock()
        if self.called and self._first_s is None:
            self._first_s = now
        if now - self._told_s >= EVERY_S:
            self._told_s = now
            report(self._progress(self._eta_s(now)))

    def _eta_s(self, now: float) -> float | None:
        """Return the time left at the rate of the calls so far, None before the second."""
        if self._first_s is None or self.called < 2:
            return None
        return (now - self._first_s) / (self.called - 1) * (self.total - self.done)

    def _progress(self, eta_s: float | None, *, ended: bool = False) -> Progress:
        return Progress(
            task=self.task,
            tier=self.tier,
            total=self.total,
            done=self.done,
            failed=self.failed,
            reused=self.reused,
            cost_usd=self.cost_usd,
            cost_unknown=self.cost_unknown,
            tokens=self.tokens,
            eta_s=eta_s,
            ended=ended,
        )
