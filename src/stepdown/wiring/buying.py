"""Gather what an eval needs beside the tiers' answers: signals that are bought, polished drafts.

Both are asked for by the code that serves, so that what is certified is what is served. Calls are
kept like those of the tiers, and not made twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

import msgspec
from msgspec import Struct

from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.core.bought import Bought
from stepdown.core.outcome import BOUGHT, Outcome
from stepdown.core.policy import polished
from stepdown.core.request import Capabilities, Chunk, Completion, Request, Usage
from stepdown.core.requesting import polish_request, read_polished
from stepdown.core.task import Task
from stepdown.errors import ModelError, TimedOut
from stepdown.evals.dataset import Sample
from stepdown.evals.harness import Progress, call_key
from stepdown.evals.scorers import scorer_of
from stepdown.ports.model import Model
from stepdown.ports.run_store import RunStore, SavedCall
from stepdown.serve.asking import complete_in_time
from stepdown.serve.signals import purchase
from stepdown.wiring.workspace import Workspace

Watch = Callable[[Progress], None]


class Paid(Struct, frozen=True):
    """What a call that was really made took."""

    usage: Usage
    latency_s: float | None


class KeptModel:
    """A model whose answers are kept under a name in the run store, and repeated from there.

    `fresh` are the calls that were made now. A missed deadline is the tier's own behaviour and is
    kept; other failures are asked again.
    """

    def __init__(self, model: Model, store: RunStore, task: str, name: str) -> None:
        self._model = model
        self._store = store
        self._task = task
        self._name = name
        self._kept = dict(store.calls(task, name))
        self.fresh: list[Paid] = []

    @property
    def digest(self) -> str:
        """The digest of the model."""
        return self._model.digest

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        return self._model.capabilities

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Return the kept answer, or ask. Raises what the model raises."""
        key = call_key(request, self.digest)
        kept = self._kept.get(key)
        if kept is not None and kept.completion is not None:
            return kept.completion
        if kept is not None and kept.failure == TimedOut.kind:
            raise TimedOut(kept.detail)
        try:
            done = await self._model.complete(request, timeout_s=timeout_s)
        except TimedOut as error:
            late = SavedCall(key=key, sample_id=request.id, failure=error.kind, detail=str(error))
            self._keep(late)
            raise
        self._keep(SavedCall(key=key, sample_id=request.id, completion=done))
        self.fresh.append(Paid(done.usage, done.latency_s))
        return done

    def _keep(self, call: SavedCall) -> None:
        self._store.append(self._task, self._name, call)
        self._kept[call.key] = call

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        """Yield the answer as one chunk."""
        done = await self.complete(request, timeout_s=timeout_s)
        yield Chunk(text=done.text, completion=done)

    async def aclose(self) -> None:
        """Nothing of its own to let go of."""


async def further(
    workspace: Workspace,
    task: Task,
    samples: Sequence[Sample],
    outcomes: Sequence[Outcome],
    watch: Watch | None = None,
) -> tuple[Outcome, ...]:
    """Return the outcomes of the task's bought signals (`?NAME`) and polished drafts.

    `outcomes` are the tiers' own answers to the samples: what is asked is about them.
    """
    found: list[Outcome] = []
    for name, bought in task.signals.items():
        found += await _bought(workspace, task, name, bought, samples, outcomes, watch)
    if task.finish != "never":
        found += await _all_polished(workspace, task, samples, outcomes, watch)
    return tuple(found)


def _kept_model(workspace: Workspace, task: Task, tier: str, name: str) -> KeptModel:
    return KeptModel(workspace.model(task, tier), workspace.runs, task.name, name)


def _drafts(outcomes: Iterable[Outcome], tier: str) -> dict[str, str]:
    """Return query -> the usable answer of a tier."""
    return {
        o.query_id: o.answer
        for o in outcomes
        if o.tier == tier and o.failure is None and o.answer is not None
    }


async def _bought(
    workspace: Workspace,
    task: Task,
    name: str,
    bought: Bought,
    samples: Sequence[Sample],
    outcomes: Sequence[Outcome],
    watch: Watch | None,
) -> list[Outcome]:
    stored, tier = f"{BOUGHT}{name}", workspace.tiers[bought.tier]
    drafts = _drafts(outcomes, bought.about)
    asked = [sample for sample in samples if sample.id in drafts]
    if not asked:
        return []
    model = _kept_model(workspace, task, bought.tier, stored)
    books = _Progress(task.name, stored, len(asked), watch)
    for sample in asked:
        done = await purchase(
            bought,
            task,
            tier,
            model,
            request_id=sample.id,
            source=sample.input,
            answer=drafts[sample.id],
            estimate=estimate_tokens,
        )
        row = _row(sample, stored, done.failure, done.cost_usd, done.latency_s)
        books.add(msgspec.structs.replace(row, signals={"value": done.value}))
    return books.rows


async def _all_polished(
    workspace: Workspace,
    task: Task,
    samples: Sequence[Sample],
    outcomes: Sequence[Outcome],
    watch: Watch | None,
) -> list[Outcome]:
    """Let the polishing tier rewrite every draft of the others; none where it cannot polish."""
    by = task.polish_by or task.ceiling
    if not workspace.model(task, by).capabilities.polish:
        return []
    found: list[Outcome] = []
    for draft in (tier for tier in task.tiers if tier != by):
        drafts = _drafts(outcomes, draft)
        asked = [sample for sample in samples if sample.id in drafts]
        if not asked:
            continue
        model = _kept_model(workspace, task, by, polished(draft, by))
        books = _Progress(task.name, polished(draft, by), len(asked), watch)
        for sample in asked:
            books.add(await _polished(workspace, task, draft, model, sample, drafts[sample.id]))
        found += books.rows
    return found


async def _polished(
    workspace: Workspace, task: Task, draft: str, model: Model, sample: Sample, text: str
) -> Outcome:
    by = task.polish_by or task.ceiling
    tier, name = workspace.tiers[by], polished(draft, by)
    request = polish_request(
        task, by, sample.id, sample.input, text, capabilities=model.capabilities
    )
    try:
        done = await complete_in_time(tier, model, request, task.boundary)
    except ModelError as error:
        return _row(sample, name, error.kind, None, None)
    answer = read_polished(task, by, done)
    cost = tier.price.cost_usd(done.usage, done.latency_s)
    row = _row(sample, name, answer.failure, cost, done.latency_s)
    if answer.text is None:
        return row
    score = None
    if sample.reference is not None:
        score = scorer_of(task).score(task, sample, answer.text).value
    return msgspec.structs.replace(row, answer=answer.text, score=score)


def _row(
    sample: Sample, tier: str, failure: str | None, cost: float | None, latency: float | None
) -> Outcome:
    return Outcome(
        query_id=sample.id,
        tier=tier,
        cost_usd=cost,
        latency_s=latency,
        group=sample.group,
        prompt=sample.input,
        failure=failure,
    )


class _Progress:
    """Rows as they come in, told to whoever watches."""

    def __init__(self, task: str, name: str, total: int, watch: Watch | None) -> None:
        self.rows: list[Outcome] = []
        self._books = Progress(task=task, tier=name, total=total)
        self._watch = watch

    def add(self, row: Outcome) -> None:
        """Note one row."""
        self.rows.append(row)
        old = self._books
        self._books = msgspec.structs.replace(
            old, done=old.done + 1, failed=old.failed + (row.failure is not None)
        )
        if self._watch is not None:
            self._watch(self._books)
