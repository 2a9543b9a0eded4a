"""The gate before one tier: how many calls at once, who waits, and whether it is left alone.

It counts what happens to calls and knows nothing of what is in them. One gate serves all tasks
that use the tier. It belongs to one event loop, so it needs no lock.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Callable, Mapping

from msgspec import Struct

from stepdown.core.limits import Limits
from stepdown.errors import Busy, Down, ModelError, Overloaded, TimedOut
from stepdown.serve import breaker
from stepdown.serve.breaker import Breaker, State
from stepdown.serve.pace import Pace

# As many as the wire keeps connections, and as many as may wait before a model in this process.
CONCURRENCY, QUEUE = 100, 64
LEAST_RETRY_S = 1.0  # Retry-After has no fractions (RFC 9110, section 10.2.3)


class Reading(Struct, frozen=True, kw_only=True):
    """What a gate counted since it was opened; gauges are of this moment, the rest only grows.

    `failed` and `refused` are by reason, `late` by what was waited for.
    """

    state: State
    running: int
    waiting: int
    concurrency: int
    queue: int
    calls: int
    answered: int
    retries: int
    cancelled: int
    opened: int
    failed: Mapping[str, int]
    refused: Mapping[str, int]
    late: Mapping[str, int]
    median_s: float | None


class Gate:
    """Let calls through to one tier within its limits."""

    def __init__(
        self, tier: str, limits: Limits, *, embedded: bool, seconds: Callable[[], float]
    ) -> None:
        self.tier = tier
        self.limits = limits
        self.concurrency = limits.concurrency or (1 if embedded else CONCURRENCY)
        self.queue = (
            limits.queue if limits.queue is not None else (QUEUE if embedded else CONCURRENCY)
        )
        self._full: type[Overloaded] = Busy if embedded else Overloaded
        self._seconds = seconds
        self._breaker = Breaker()
        self._pace = Pace()
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._counts: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._late: Counter[str] = Counter()

    @property
    def is_down(self) -> bool:
        """Whether a call would be turned away because the tier failed too often."""
        if self._breaker.opened_s is None:
            return False
        return not self._breaker.admits(self._seconds(), self.limits.breaker_s)

    @property
    def wait_s(self) -> float:
        """How long a tier that is down is left alone; at least the shortest Retry-After."""
        left = self._breaker.wait_s(self._seconds(), self.limits.breaker_s)
        return max(LEAST_RETRY_S, left)

    @property
    def median_s(self) -> float | None:
        """How long the tier has been taking lately, None when that is not known."""
        return self._pace.median_s(self._seconds())

    def skipped(self, why: str) -> None:
        """Count a request for which the tier was left out before it was asked."""
        self._refused[why] += 1

    def retried(self, times: int) -> None:
        """Count further tries within a call."""
        if times:
            self._counts["retries"] += times

    def reading(self) -> Reading:
        """Return what was counted."""
        return Reading(
            state=self._breaker.state(self._seconds(), self.limits.breaker_s),
            running=self._running,
            waiting=len(self._waiting),
            concurrency=self.concurrency,
            queue=self.queue,
            calls=self._counts["calls"],
            answered=self._counts["answered"],
            retries=self._counts["retries"],
            cancelled=self._counts["cancelled"],
            opened=self._counts["opened"],
            failed=dict(self._failed),
            refused=dict(self._refused),
            late=dict(self._late),
            median_s=self.median_s,
        )

    def passed(self, wait_s: float | None) -> Passage:
        """Hold a place at the tier for a while; yields the seconds that were waited for it.

        Raises:
            Down: the tier is left alone for the moment.
            Overloaded: the queue is full, or the turn did not come within `wait_s` seconds.
        """
        return Passage(self, wait_s)

    def _refuse_when_down(self) -> None:
        if not self.is_down:
            return
        self.skipped("breaker")
        raise Down(
            f"{self.tier} failed {self._breaker.failures} times in a row and is left alone.",
            f"It is tried again in {self.wait_s:.0f} s.",
        ).noting(retry_after_s=self.wait_s)

    async def _enter(self, wait_s: float | None) -> None:
        if len(self._waiting) >= self.queue:
            raise self._overloaded(
                "queue_full", f"{len(self._waiting)} calls wait, the most allowed"
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(wait_s):
                await turn
        except TimeoutError:
            self._give_up(turn)
            raise self._overloaded("queue_wait", f"no turn came within {wait_s:g} s") from None
        except asyncio.CancelledError:
            self._give_up(turn)
            self._counts["cancelled"] += 1
            raise

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        """Leave the queue; a turn that came at the same moment goes to the next one."""
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif turn.done() and not turn.cancelled():
            self._leave()

    def _leave(self) -> None:
        """Hand the place to whoever has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._running -= 1

    def _overloaded(self, why: str, said: str) -> Overloaded:
        self._refused[why] += 1
        return self._full(f"{self.tier} is busy: {said}.", "Try again in a moment.").noting(
            retry_after_s=self._turn_s()
        )

    def _turn_s(self) -> float:
        """Return when a turn may be expected, from the pace of late."""
        ahead = (len(self._waiting) + 1) / self.concurrency
        return max(LEAST_RETRY_S, math.ceil(ahead) * (self.median_s or 0.0))

    def _note_failure(self, error: ModelError, began: float, *, probe: bool) -> None:
        self._failed[error.kind] += 1
        self._counts["retries"] += error.retries
        if isinstance(error, TimedOut):
            self._late[error.phase] += 1
            self._pace.note(self._seconds(), self._seconds() - began)  # it takes at least so long
        if error.blames == "request":
            self._breaker = breaker.let_go(self._breaker, probe=probe)
            return
        before = self._breaker
        self._breaker = breaker.failed(
            before, self._seconds(), self.limits.breaker_failures, probe=probe
        )
        self._counts["opened"] += self._breaker.opened_s not in (None, before.opened_s)


class Passage:
    """One call through a gate: it holds its place, and how it ends is told to the breaker.

    A class and no generator: every request passes here.
    """

    __slots__ = ("_began", "_gate", "_probe", "_wait_s")

    def __init__(self, gate: Gate, wait_s: float | None) -> None:
        self._gate = gate
        self._wait_s = wait_s
        self._began = 0.0
        self._probe = False

    async def __aenter__(self) -> float:
        gate, started = self._gate, self._gate._seconds()
        gate._refuse_when_down()
        if gate._running < gate.concurrency:
            gate._running += 1
            self._began = started
        else:
            await self._wait_for_a_turn()
            self._began = gate._seconds()
        self._probe = gate._breaker.opened_s is not None
        gate._breaker = breaker.begun(gate._breaker)
        gate._counts["calls"] += 1
        return self._began - started

    async def _wait_for_a_turn(self) -> None:
        gate = self._gate
        await gate._enter(self._wait_s)
        try:
            gate._refuse_when_down()  # it may have failed while this call waited
        except Down:
            gate._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        gate = self._gate
        try:
            if error is None:
                now = gate._seconds()
                gate._counts["answered"] += 1
                gate._pace.note(now, now - self._began)
                gate._breaker = breaker.succeeded(gate._breaker, probe=self._probe)
            elif isinstance(error, ModelError):
                gate._note_failure(error, self._began, probe=self._probe)
            else:
                gate._counts["cancelled"] += 1
                gate._breaker = breaker.let_go(gate._breaker, probe=self._probe)
        finally:
            gate._leave()


def _queue(limits: Limits, *, embedded: bool) -> int:
    if limits.queue is not None:
        return limits.queue
    return QUEUE if embedded else CONCURRENCY


class Gates:
    """The gates of all tiers, opened when first used; kept when a lock is loaded anew."""

    def __init__(self, limits: Mapping[str, Limits], seconds: Callable[[], float]) -> None:
        self._limits = limits
        self._seconds = seconds
        self._gates: dict[str, Gate] = {}

    def of(self, tier: str, *, embedded: bool) -> Gate:
        """Return the gate of a tier."""
        if tier not in self._gates:
            limits = self._limits.get(tier, Limits())
            self._gates[tier] = Gate(tier, limits, embedded=embedded, seconds=self._seconds)
        return self._gates[tier]

    def renew(self, limits: Mapping[str, Limits]) -> None:
        """Take new limits; a gate whose limits are what they were stays, with all it has seen."""
        for name in [n for n, gate in self._gates.items() if gate.limits != limits.get(n)]:
            del self._gates[name]
        self._limits = limits

    def readings(self) -> Mapping[str, Reading]:
        """Return what each gate counted."""
        return {name: gate.reading() for name, gate in self._gates.items()}
