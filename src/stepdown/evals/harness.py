"""The harness: every sample to one tier, each call kept as soon as it ends, then scored.

Calls are kept without their score, so a run that was killed goes on where it stopped and a changed
scorer scores again without calling a model. It does not know which adapter answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from stepdown.core.confidence import read_signals
from stepdown.core.digest import digest
from stepdown.core.outcome import Outcome
from stepdown.core.request import Completion, Request
from stepdown.core.requesting import Answer, read_answer, request_for
from stepdown.core.task import Task
from stepdown.core.tier import Price, Tier
from stepdown.errors import ModelError, Overloaded, TimedOut, WeightsError
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers import Score, Scorer, scorer_of
from stepdown.ports.model import Model
from stepdown.ports.run_store import RunStore, SavedCall

# Errors of a provider, not answers of a model: a later run asks again. A missed deadline is the
# tier's own behaviour and is kept, otherwise asking until it answers would flatter slow tiers.
ASKED_AGAIN = frozenset({"unavailable", "overloaded", "provider_error"})
SIGNS_OF_DEATH = frozenset({"overloaded", "provider_error", "deadline"})


class Patience(Struct, frozen=True):
    """How long to wait for a tier that is full, and after how many failures in a row to give up."""

    overload_waits_s: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    give_up_after: int = 20


class Progress(Struct, frozen=True, kw_only=True):
    """How far a tier is. `reused` were kept by an earlier run and cost nothing now.

    `cost_usd` is what this run spent on calls whose cost is known; `cost_unknown` counts the rest.
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


class RunResult(Struct, frozen=True, kw_only=True):
    """Outcomes of one tier in the order of the samples, under the digest of all that decided them.

    `dead` says why the tier was given up, None when it was not; its remaining samples are
    `unavailable`.
    """

    digest: str
    task: str
    tier: str
    tier_digest: str
    scorer: str
    outcomes: tuple[Outcome, ...]
    called: int
    reused: int
    recorded: bool = False
    dead: str | None = None


@dataclass(slots=True)
class _Run:
    """One tier's run: what does not change, and the books."""

    task: Task
    samples: Sequence[Sample]
    tier: Tier
    model: Model
    price: Price
    store: RunStore
    scorer: Scorer
    patience: Patience
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    report: Callable[[Progress], None] | None
    books: Progress
    started_s: float
    outcomes: list[Outcome | None]
    keys: list[str] = field(default_factory=list)
    in_a_row: int = 0
    dead: str | None = None


async def run(
    task: Task,
    samples: Sequence[Sample],
    tier: Tier,
    model: Model,
    price: Price,
    store: RunStore,
    *,
    concurrency: int,
    progress: Callable[[Progress], None] | None = None,
    scorer: Scorer | None = None,
    patience: Patience | None = None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> RunResult:
    """Return what `tier` answers to every sample, and how good that is.

    A failure is an outcome with a kind, scored 0; only `unavailable` is not scored. A tier that
    fails `patience.give_up_after` times in a row is given up; the call returns all the same.

    Raises:
        ConfigError: the task names an unknown scorer.
        DataError: the store cannot be written; what had finished is safe.
    """
    state = _Run(
        task=task,
        samples=samples,
        tier=tier,
        model=model,
        price=price,
        store=store,
        scorer=scorer or scorer_of(task),
        patience=patience or Patience(),
        clock=clock,
        sleep=sleep,
        report=progress,
        books=Progress(task=task.name, tier=tier.name, total=len(samples)),
        started_s=clock(),
        outcomes=[None] * len(samples),
    )
    waiting = _reuse(state)
    await _call_all(state, waiting, concurrency)
    return _result(state)


def run_digest(
    task: Task, samples: Sequence[Sample], tier: Tier, model: Model, scorer: Scorer
) -> str:
    """Return the digest of all that decides a run: samples, scorer, tier, prompt and parameters."""
    asked = request_for(task, tier.name, "", "", capabilities=model.capabilities)
    parts = sorted(sample.digest for sample in samples)
    return digest((parts, scorer.id, model.digest, asked, task.contract, tier.timeout_s))


def call_key(request: Request, tier_digest: str, *, recorded: bool = False) -> str:
    """Return the digest under which a call is kept: what was asked of which tier.

    The id does not count, except for a recording, which may look answers up by it.
    """
    asked = replace(request, id=request.id if recorded else "", metadata={})
    return digest((asked, tier_digest))


def outcome_of(
    task: Task, scorer: Scorer, sample: Sample, tier: str, price: Price, call: SavedCall
) -> Outcome:
    """Return a finished call as a row of the outcome table, scored now."""
    completion = call.completion
    if completion is None:
        return _failed(sample, tier, call.failure or "provider_error", call.latency_s)
    answer = read_answer(task, tier, completion, sample.context)
    score = _score(task, scorer, sample, answer)
    return Outcome(
        query_id=sample.id,
        tier=tier,
        score=None if sample.reference is None and score.failure is None else score.value,
        cost_usd=price.cost_usd(completion.usage, call.latency_s),
        latency_s=call.latency_s,
        signals=call.signals,
        answer=completion.text if answer.text is None else answer.text,
        group=sample.group,
        segment=sample.segment,
        prompt=sample.input,
        failure=score.failure,
    )


def _score(task: Task, scorer: Scorer, sample: Sample, answer: Answer) -> Score:
    if answer.text is None or sample.reference is None:
        return Score(0.0, answer.failure, answer.detail)
    return scorer.score(task, sample, answer.text)


def _failed(sample: Sample, tier: str, kind: str, latency_s: float | None) -> Outcome:
    return Outcome(
        query_id=sample.id,
        tier=tier,
        score=None if kind == "unavailable" else 0.0,
        latency_s=latency_s,
        group=sample.group,
        segment=sample.segment,
        prompt=sample.input,
        failure=kind,
    )


def _request(state: _Run, sample: Sample) -> Request:
    model = state.model.capabilities
    return request_for(
        state.task,
        state.tier.name,
        sample.id,
        sample.input,
        context=sample.context,
        capabilities=model,
    )


def _reuse(state: _Run) -> list[int]:
    """Score the calls that an earlier run kept; return the numbers of the samples left to call."""
    kept = state.store.calls(state.task.name, state.tier.name)
    tier_digest = state.model.digest
    waiting = []
    for i, sample in enumerate(state.samples):
        key = call_key(_request(state, sample), tier_digest, recorded=state.tier.recorded)
        state.keys.append(key)
        call = kept.get(key)
        if call is None or call.failure in ASKED_AGAIN:
            waiting.append(i)
        else:
            _note(state, i, call, reused=True)
    return waiting


async def _call_all(state: _Run, waiting: Sequence[int], concurrency: int) -> None:
    """Call the tier for the waiting samples, `concurrency` at a time, from one shared list."""
    numbers = iter(waiting)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(max(1, concurrency), len(waiting))):
                group.create_task(_work(state, numbers))
    except BaseExceptionGroup as several:
        # The first cause is what a person can act on; the others followed from it.
        raise several.exceptions[0] from None


async def _work(state: _Run, numbers: Iterator[int]) -> None:
    for i in numbers:
        if state.dead is None:
            call = await _call(state, i)
            state.store.append(state.task.name, state.tier.name, call)
            _note(state, i, call, reused=False)
        else:
            _skip(state, i)


async def _call(state: _Run, i: int) -> SavedCall:
    """Call the tier once, waiting while it is full; every end is a value."""
    sample = state.samples[i]
    request, started_s = _request(state, sample), state.clock()
    try:
        completion = await _patiently(state, request)
    except WeightsError as error:
        state.dead = str(error)
        return _ended(state, i, "unavailable", str(error), None)
    except ModelError as error:
        waited_s = state.clock() - started_s if isinstance(error, TimedOut) else None
        return _ended(state, i, error.kind, str(error), waited_s)
    return _answered(state, i, completion, state.clock() - started_s)


async def _patiently(state: _Run, request: Request) -> Completion:
    for wait_s in state.patience.overload_waits_s:
        try:
            return await state.model.complete(request, timeout_s=state.tier.timeout_s)
        except Overloaded:
            await state.sleep(wait_s)
    return await state.model.complete(request, timeout_s=state.tier.timeout_s)


def _answered(state: _Run, i: int, completion: Completion, measured_s: float) -> SavedCall:
    """Keep an answer without its log-probabilities: they are read now, and most of its size."""
    latency_s = measured_s if completion.latency_s is None else completion.latency_s
    recorded = state.tier.recorded or completion.recorded
    return SavedCall(
        key=state.keys[i],
        sample_id=state.samples[i].id,
        completion=replace(completion, logprobs=None),
        signals=read_signals(completion, state.task, state.tier.name),
        latency_s=None if recorded else latency_s,
    )


def _ended(state: _Run, i: int, kind: str, detail: str, latency_s: float | None) -> SavedCall:
    return SavedCall(
        key=state.keys[i],
        sample_id=state.samples[i].id,
        latency_s=latency_s,
        failure=kind,
        detail=detail,
    )


def _note(state: _Run, i: int, call: SavedCall, *, reused: bool) -> None:
    """Score a call, keep the books, report, and give the tier up when it seems dead."""
    sample = state.samples[i]
    outcome = outcome_of(state.task, state.scorer, sample, state.tier.name, state.price, call)
    state.outcomes[i] = outcome
    if not reused:
        _watch(state, call)
    _report(state, outcome, _tokens(call), reused=reused)


def _watch(state: _Run, call: SavedCall) -> None:
    """Give a tier up after too many failures in a row, so that it does not hold up the rest."""
    state.in_a_row = state.in_a_row + 1 if call.failure in SIGNS_OF_DEATH else 0
    if state.in_a_row >= state.patience.give_up_after and state.dead is None:
        state.dead = f"{state.in_a_row} failures in a row, the last: {call.detail or call.failure}"


def _skip(state: _Run, i: int) -> None:
    outcome = _failed(state.samples[i], state.tier.name, "unavailable", None)
    state.outcomes[i] = outcome
    _report(state, outcome, 0, reused=False)


def _report(state: _Run, outcome: Outcome, tokens: int, *, reused: bool) -> None:
    old, spent = state.books, None if reused else outcome.cost_usd
    state.books = replace(
        old,
        done=old.done + 1,
        failed=old.failed + (outcome.failure is not None),
        reused=old.reused + reused,
        cost_usd=old.cost_usd + (spent or 0.0),
        cost_unknown=old.cost_unknown + (spent is None and not reused),
        tokens=old.tokens + (0 if reused else tokens),
        eta_s=None if reused else _eta_s(state, old),
    )
    if state.report is not None:
        state.report(state.books)


def _eta_s(state: _Run, before: Progress) -> float:
    fresh = before.done - before.reused + 1
    left = before.total - before.done - 1
    return (state.clock() - state.started_s) / fresh * left


def _tokens(call: SavedCall) -> int:
    if call.completion is None:
        return 0
    usage = call.completion.usage
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


def _result(state: _Run) -> RunResult:
    outcomes = tuple(outcome for outcome in state.outcomes if outcome is not None)
    scorer, model = state.scorer, state.model
    result = RunResult(
        digest=run_digest(state.task, state.samples, state.tier, model, scorer),
        task=state.task.name,
        tier=state.tier.name,
        tier_digest=model.digest,
        scorer=scorer.id,
        outcomes=outcomes,
        called=state.books.done - state.books.reused,
        reused=state.books.reused,
        recorded=state.tier.recorded,
        dead=state.dead,
    )
    if state.dead is None:
        state.store.save_run(state.task.name, result.digest, _record(state, result))
    return result


def _record(state: _Run, result: RunResult) -> Mapping[str, Any]:
    """Return what a run was made of; its outcomes follow from the kept calls."""
    pairs = zip(state.samples, state.keys, strict=True)
    parts = {sample.id: {"sample": sample.digest, "call": key} for sample, key in pairs}
    names = ("digest", "task", "tier", "tier_digest", "scorer", "recorded")
    head = {name: value for name, value in asdict(result).items() if name in names}
    return head | {"model": state.tier.model, "n": len(state.samples), "samples": parts}
