"""When a failing tier is left alone: a circuit breaker as pure values. Time is an argument.

closed --(so many failures in a row)--> open --(after a while, one probe)--> half open
half open --(the probe succeeds)--> closed; --(it fails)--> open again
Source: M. Nygard, Release It!, 2nd edition (2018), chapter 5, "Circuit Breaker".
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

State = Literal["closed", "open", "half_open"]


class Breaker(Struct, frozen=True):
    """What is known of a tier's health; `opened_s` is when it was opened last, None when closed."""

    failures: int = 0
    opened_s: float | None = None
    probing: bool = False

    def state(self, now_s: float, open_s: float) -> State:
        """Return the state at a moment."""
        if self.opened_s is None:
            return "closed"
        return "open" if self.wait_s(now_s, open_s) > 0 else "half_open"

    def admits(self, now_s: float, open_s: float) -> bool:
        """Whether a call may go to the tier: any while closed, one at a time while half open."""
        state = self.state(now_s, open_s)
        return state == "closed" or (state == "half_open" and not self.probing)

    def wait_s(self, now_s: float, open_s: float) -> float:
        """Return how long until a call may be tried; 0 when it may be now."""
        return 0.0 if self.opened_s is None else max(0.0, self.opened_s + open_s - now_s)


_HEALTHY = Breaker()


def begun(breaker: Breaker) -> Breaker:
    """Return the breaker with an admitted call under way; while not closed, it is the probe."""
    return breaker if breaker.opened_s is None else replace(breaker, probing=True)


def succeeded(breaker: Breaker, *, probe: bool) -> Breaker:
    """Return the breaker after a call succeeded; while open only the probe's word counts."""
    return _HEALTHY if breaker.opened_s is None or probe else breaker


def failed(breaker: Breaker, now_s: float, threshold: int, *, probe: bool) -> Breaker:
    """Return the breaker after a call failed; one that began before it opened changes nothing."""
    if probe:
        return Breaker(breaker.failures + 1, now_s)
    if breaker.opened_s is not None:
        return breaker
    count = breaker.failures + 1
    return Breaker(count, now_s if count >= threshold else None)


def let_go(breaker: Breaker, *, probe: bool) -> Breaker:
    """Return the breaker after a call that says nothing (its caller hung up, a bad request)."""
    return replace(breaker, probing=False) if probe else breaker
