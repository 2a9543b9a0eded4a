"""Fakes of the serve tests: models that follow a script, and models made of recorded outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping

from msgspec.structs import replace

from stepdown.core.bought import Bought
from stepdown.core.confidence import Calibrator
from stepdown.core.derived import Derived
from stepdown.core.outcome import Outcome
from stepdown.core.policy import Policy, polished
from stepdown.core.request import Capabilities, Chunk, Completion, Request
from stepdown.core.task import Task
from stepdown.core.tier import Price, Tier
from stepdown.errors import ModelError, Overloaded, TimedOut, Unavailable
from stepdown.serve.step import Step

QUESTION = "what now?"
ABLE = Capabilities(tools=True, vision=True)
BY_THE_SECOND = Price(usd_per_hour=3600.0, basis="hardware")  # one dollar a second
ERRORS: Mapping[str, type[ModelError]] = {
    "provider_error": ModelError,
    "overloaded": Overloaded,
    "deadline": TimedOut,
    "unavailable": Unavailable,
}


class FakeModel:
    """Answer by `said(request)`: a text, a completion, or an error to raise; keep what was asked.

    With `hangs` it never answers.
    """

    def __init__(
        self,
        said: str | Completion | Exception | Callable[[Request], Completion],
        *,
        polish: bool = True,
        hangs: bool = False,
        able: Capabilities = ABLE,
    ) -> None:
        self._said = said
        self._hangs = hangs
        self.capabilities = replace(able, polish=polish)
        self.digest = "sha256:fake"
        self.asked: list[Request] = []

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        self.asked.append(request)
        if self._hangs:
            await asyncio.Event().wait()
        if isinstance(self._said, Exception):
            raise self._said
        if isinstance(self._said, str):
            return Completion(text=self._said, latency_s=0.5, familiarity=0.9)
        return self._said if isinstance(self._said, Completion) else self._said(request)

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        yield Chunk(completion=await self.complete(request))

    async def aclose(self) -> None:
        return None


def replaying(tier: str, rows: Mapping[str, Outcome]) -> FakeModel:
    """Return a model that answers and polishes as the outcomes of one query say."""

    def said(request: Request) -> Completion:
        if request.input == QUESTION:
            return completion(tier, rows.get(tier))
        draft = next(name for name in rows if spoken(name, rows[name]) == request.input)
        name = polished(draft, tier)
        usable = can(rows, tier)  # a tier that is down cannot polish either
        return completion(name, rows.get(name) if usable else None)

    able = any(can(rows, polished(draft, tier)) for draft in ("a", "b", "c"))
    return FakeModel(said, polish=able)


def can(rows: Mapping[str, Outcome], name: str) -> bool:
    return name in rows and rows[name].failure != "unavailable"


def spoken(name: str, row: Outcome) -> str:
    """Return the text of a recorded answer; every tier must have its own."""
    return f"answer of {name}" if row.answer is None else row.answer


def completion(name: str, row: Outcome | None) -> Completion:
    """Return what a live tier would have said for a recorded outcome, or raise what it raised."""
    failure = "unavailable" if row is None else row.failure
    if failure in ERRORS:
        raise ERRORS[failure](f"{name} failed.")
    assert row is not None
    finish = {"truncated": "length", "refusal": "refusal"}.get(failure or "", "stop")
    return Completion(
        text="" if failure == "invalid_output" else spoken(name, row),
        finish_reason=finish,
        familiarity=row.confidence,
        latency_s=row.cost_usd,
    )


def oracle(row: Outcome | None) -> FakeModel:
    """Return a model that puts the value of a bought signal into words, or fails as it did."""
    if row is None or row.failure in ERRORS:
        return FakeModel(ERRORS[(row and row.failure) or "unavailable"]("No oracle."))
    value = row.signals["value"]
    said = "I cannot say." if value is None else f"{value * 100:.0f}"
    return FakeModel(Completion(text=said, latency_s=row.cost_usd))


def step_of_outcomes(
    policy: Policy,
    rows: Mapping[str, Outcome],
    derived: Mapping[str, Derived] = {},
    foretold: Mapping[str, float | None] = {},
) -> Step:
    """Return a live step whose tiers behave as recorded; a tier without outcome has no model.

    The signal `extra` is bought from an oracle, about what the tier `a` said.
    """
    bought = {"extra": Bought(kind="verbal", tier="oracle", of="a")}
    task = Task(name="draft", kind="draft", tiers=policy.tiers, signals=bought)
    named = (*policy.tiers, "oracle")
    models = {t: replaying(t, rows) for t in policy.tiers if t in rows}
    return Step(
        task=task,
        policy=policy,
        tiers={t: Tier(name=t, model="fake:x", price=BY_THE_SECOND) for t in named},
        models={**models, "oracle": oracle(rows.get("?extra"))},
        confidence={t: Calibrator("familiarity") for t in policy.tiers},
        derived=derived,
        triage=lambda _text, _segment: foretold,
    )
