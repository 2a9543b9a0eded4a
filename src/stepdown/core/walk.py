"""A walk through a policy, without input or output: what was seen so far, and what comes next.

The async cascade, the scalar replay and tests drive this one object; it asks `decide` at every
step and only keeps the books.
"""

from __future__ import annotations

from collections.abc import Mapping

from stepdown.core.decide import Decision, Observation, decide
from stepdown.core.policy import Policy


class Walk:
    """Keep what was observed for one request and ask the policy what to do next."""

    def __init__(self, policy: Policy, signals: Mapping[str, float | None] = {}) -> None:
        self.policy = policy
        self.called: tuple[str, ...] = ()
        self.signals: dict[str, float | None] = dict(signals)
        self.invalid: dict[str, str] = {}
        self.unavailable: dict[str, str] = {}

    def next(self) -> Decision:
        """Return the next decision for what was seen so far."""
        seen = Observation(self.called, self.signals, self.invalid, self.unavailable)
        return decide(self.policy, seen)

    def answered(
        self, tier: str, signals: Mapping[str, float | None], invalid: str | None = None
    ) -> None:
        """Note that a tier was called: its signals, or why its answer must not be sent."""
        self.called = (*self.called, tier)
        self.signals.update(signals)
        if invalid is not None:
            self.invalid[tier] = invalid

    def bought(self, signal: str, value: float | None) -> None:
        """Note that a signal was bought; None when it could not be read."""
        self.called = (*self.called, f"?{signal}")
        self.signals[signal] = value

    def down(self, tier: str, why: str) -> None:
        """Note that a tier cannot be called."""
        self.unavailable[tier] = why
