"""A walk through a policy, without input or output: what was seen so far, and what comes next.

The async cascade, the scalar replay and tests drive this one object; it asks `decide` at every
step and only keeps the books.
"""

from __future__ import annotations

from collections.abc import Mapping

from stepdown.core.decide import Decision, Observation, decide
from stepdown.core.derived import Derived, agreement, value_of
from stepdown.core.foregone import sent_whatever_it_says
from stepdown.core.policy import Policy, tiers_in


class Walk:
    """Keep what was observed for one request and ask the policy what to do next."""

    def __init__(
        self,
        policy: Policy,
        signals: Mapping[str, float | None] = {},
        derived: Mapping[str, Derived] = {},
    ) -> None:
        self.policy = policy
        self.derived = derived
        self.called: tuple[str, ...] = ()
        self.signals: dict[str, float | None] = dict(signals)
        self.answers: dict[str, str | None] = {}
        self.invalid: dict[str, str] = {}
        self.unavailable: dict[str, str] = {}
        self.left_s: float | None = None
        self.needs_s: Mapping[str, float] = {}

    def next(self) -> Decision:
        """Return the next decision for what was seen so far."""
        return decide(self.policy, self._seen(self._readable()))

    def will_send(self, tier: str) -> bool:
        """Return whether any usable answer of `tier`, called now, is certain to be sent."""
        return sent_whatever_it_says(self.policy, self._seen(self.signals), tier)

    def _seen(self, signals: Mapping[str, float | None]) -> Observation:
        return Observation(
            self.called, signals, self.invalid, self.unavailable, self.left_s, self.needs_s
        )

    def _readable(self) -> Mapping[str, float | None]:
        """The signals as read, and those derived from them that the present state looks at."""
        row = self.policy.by_state.get(self.called)
        wanted = [c.signal for c in row.when if c.signal in self.derived] if row else ()
        if not wanted:
            return self.signals
        made = {name: value_of(name, self.derived, self.signals.get) for name in wanted}
        return {**self.signals, **made}

    def answered(
        self,
        tier: str,
        signals: Mapping[str, float | None],
        invalid: str | None = None,
        answer: str | None = None,
    ) -> None:
        """Note that a tier was called: its signals, or why its answer must not be sent.

        `answer` is the key under which answers are compared (`answers.answer_key`), None when
        there is no usable one.
        """
        self._compare(tier, None if invalid is not None else answer)
        self.called = (*self.called, tier)
        self.signals.update(signals)
        if invalid is not None:
            self.invalid[tier] = invalid

    def _compare(self, tier: str, answer: str | None) -> None:
        """Note which of the tiers called before gave the same answer."""
        for other in tiers_in(self.called):
            said = self.answers[other]
            same = None if answer is None or said is None else float(answer == said)
            self.signals[agreement(tier, other)] = same
        self.answers[tier] = answer

    def bought(self, signal: str, value: float | None) -> None:
        """Note that a signal was bought; None when it could not be read."""
        self.called = (*self.called, f"?{signal}")
        self.signals[signal] = value

    def down(self, tier: str, why: str) -> None:
        """Note that a tier cannot be called."""
        self.unavailable[tier] = why
