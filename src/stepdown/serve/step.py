"""What is needed to answer one task live: its policy, models, signals and a clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property, lru_cache

from msgspec import Struct

from stepdown.core.confidence import Calibrator
from stepdown.core.derived import DRAW, SIZE, TRIAGE, Derived, raw_inputs
from stepdown.core.policy import Policy
from stepdown.core.task import Task, within
from stepdown.core.tier import Tier
from stepdown.ports.model import Model
from stepdown.serve.gate import Gate

Signals = Mapping[str, float | None]


@lru_cache(maxsize=2)
def _to_the_second(since_1970: int) -> str:
    return datetime.fromtimestamp(since_1970, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _now() -> str:
    """Return the present in ISO 8601 to the millisecond; all but these is made once a second."""
    whole_s, rest_ns = divmod(time.time_ns(), 1_000_000_000)
    return f"{_to_the_second(whole_s)}.{rest_ns // 1_000_000:03d}+00:00"


class Clock(Struct, frozen=True):
    """Time as an argument: seconds for durations, ISO 8601 in UTC for the books."""

    seconds: Callable[[], float] = time.perf_counter
    now: Callable[[], str] = _now


class Step(Struct, frozen=True, kw_only=True, dict=True):
    """All that is needed to answer one task: its policy, and a model for each tier.

    `triage` foretells, from the bare text and the request's `segment`, the signals `triage.TIER`;
    it costs time only. `estimate` counts the tokens of a text, for tiers whose context is known.
    `gates` stand before the models; `deadline_s` is how long callers wait who do not say.
    """

    task: Task
    policy: Policy
    tiers: Mapping[str, Tier]
    models: Mapping[str, Model]
    confidence: Mapping[str, Calibrator] = {}
    derived: Mapping[str, Derived] = {}
    triage: Callable[[str, str | None], Signals] | None = None
    estimate: Callable[[str], int] | None = None
    gates: Mapping[str, Gate] = {}
    deadline_s: float | None = None

    @cached_property
    def reads(self) -> frozenset[str]:
        """Every signal that the policy rests on, none of them derived."""
        wanted = self.policy.signals
        return frozenset(raw for name in wanted for raw in raw_inputs(name, self.derived))

    @cached_property
    def weighed(self) -> frozenset[str]:
        """The tiers whose answers are weighed: by the policy, or for the confidence that is shown.

        Of any other tier log-probabilities would only cost time: reading them is the dearest part
        of a call.
        """
        read = (tier for tier in self.models if any(n.startswith(f"{tier}.") for n in self.reads))
        return frozenset(self.confidence) | frozenset(read)

    @cached_property
    def draws(self) -> bool:
        """Whether the policy mixes: only then anybody looks at a request's draw."""
        return DRAW in self.reads

    @cached_property
    def forbidden(self) -> frozenset[str]:
        """The tiers outside the task's boundary."""
        boundary = self.task.boundary
        return frozenset(t for t in self.models if not within(self.tiers[t].place, boundary))

    @cached_property
    def foretells(self) -> bool:
        """Whether the policy reads what triage says."""
        return self.triage is not None and any(n.startswith(f"{TRIAGE}.") for n in self.reads)

    @cached_property
    def compares(self) -> bool:
        """Whether the policy asks if two tiers gave the same answer."""
        return any("=" in name for name in self.reads)

    @cached_property
    def shapes(self) -> frozenset[str]:
        """The tiers whose answers are read for their shape (`answer_shape`)."""
        named = (name.rpartition(".shape_") for name in self.reads)
        return frozenset(tier for tier, found, _ in named if found)

    def foretold(self, text: str, segment: str | None) -> dict[str, float | None]:
        """Return what is known of a text before any call, as far as the policy asks."""
        found: dict[str, float | None] = {SIZE: float(len(text))} if SIZE in self.reads else {}
        if self.triage is None or not self.foretells:
            return found
        return {**found, **self.triage(text, segment)}

    def out_of_reach(self, tier: str) -> str | None:
        """Say why a tier may not be asked anything at all, None when it may."""
        if tier not in self.models:
            return "unavailable"
        if tier in self.forbidden:
            return "boundary"
        return "provider_error" if self._is_down(tier) else None

    def _is_down(self, tier: str) -> bool:
        """Whether a tier is left alone because it failed too often."""
        gate = self.gates.get(tier)
        return gate is not None and gate.is_down

    def needs_s(self) -> dict[str, float]:
        """Return tier -> how long its calls have been taking, where that is known."""
        known = {name: gate.median_s for name, gate in self.gates.items()}
        return {name: median for name, median in known.items() if median is not None}
