"""The harness: every sample to one tier, each call kept as soon as it ends, then scored.

Calls are kept without their score, so a run that was killed goes on where it stopped and a changed
scorer scores again without calling a model. Samples are walked, never held: memory does not grow
with their number. It does not know which adapter answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from stepdown.core.fitness import lacks
from stepdown.core.outcome import Outcome
from stepdown.core.request import Request
from stepdown.core.task import Task
from stepdown.core.tier import Price, Tier
from stepdown.errors import WeightsError
from stepdown.evals.asking import Scored, ask_of, call_key, not_answered, scored
from stepdown.evals.books import Books, Progress
from stepdown.evals.calling import Caller, Patience, failed_call
from stepdown.evals.dataset import Sample
from stepdown.evals.keeper import Keeper
from stepdown.evals.pace import Pace
from stepdown.evals.purse import Expectation, Purse, billed
from stepdown.evals.roster import Numbers, roster_of
from stepdown.evals.scorers import Scorer, scorer_of
from stepdown.ports.model import Model
from stepdown.ports.run_store import RunStore, SavedCall

__all__ = ["Patience", "Progress", "RunResult", "TierRun", "call_key", "run", "run_tier"]

# Errors of a provider, not answers of a model: a later run asks again. A missed deadline is the
# tier's own behaviour and is kept, otherwise asking until it answers would flatter slow tiers.
ASKED_AGAIN = frozenset({"unavailable", "overloaded", "provider_error"})
# With so many of these in a row a tier is given up.
SIGNS_OF_DEATH = frozenset({"overloaded", "provider_error", "deadline"})
BREATH = 256  # kept calls scored between two looks at the calls in flight

Sink = Callable[[int, int, Scored, SavedCall | None, bool], None]


class TierRun(Struct, frozen=True, kw_only=True):
    """How the run of one tier ended; what it answered went to the sink.

    `stopped` says why it ended early (a provider that seems dead, money that ran out), None when
    every sample was asked. `dead` is true for the first only.
    """

    task: str
    tier: str
    tier_digest: str
    scorer: str
    called: int
    reused: int
    failed: int
    cost_usd: float
    cost_unknown: int
    recorded: bool = False
    stopped: str | None = None
    dead: bool = False


class RunResult(Struct, frozen=True, kw_only=True):
    """Outcomes of one tier in the order of the samples.

    `dead` says why the tier was given up, None when it was not; its remaining samples are
    `unavailable`.
    """

    task: str
    tier: str
    tier_digest: str
    scorer: str
    outcomes: tuple[Outcome, ...]
    called: int
    reused: int
    recorded: bool = False
    dead: str | None = None


class Terms(Struct, frozen=True, kw_only=True):
    """On which terms tiers are asked: at once, how often, how patiently, for how much money."""

    concurrency: int = 1
    repeat: int = 1
    patience: Patience = Patience()
    purse: Purse | None = None
    pace: Pace | None = None
    estimate_tokens: Callable[[str], int] = len
    progress: Callable[[Progress], None] | None = None
    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Asked:
    """One tier of one task."""

    task: Task
    tier: Tier
    model: Model
    scorer: Scorer


@dataclass(frozen=True, slots=True)
class _Step:
    """One sample to be asked for the `repeat`-th time."""

    number: int
    repeat: int
    sample: Sample
    request: Request
    key: str


@dataclass(slots=True)
class _Run:
    """One tier's run: what does not change, and the books."""

    asked: Asked
    samples: Iterable[Sample]
    twins: Numbers | None
    store: RunStore
    terms: Terms
    sink: Sink
    books: Books
    caller: Caller
    purse: Purse
    expected: Expectation
    keeper: Keeper
    kept: Mapping[str, SavedCall]
    in_a_row: int = 0
    unbroken: int = 0
    stopped: str | None = None
    dead: bool = False


async def run(
    task: Task,
    samples: Sequence[Sample],
    tier: Tier,
    model: Model,
    price: Price,
    store: RunStore,
    *,
    scorer: Scorer | None = None,
    terms: Terms | None = None,
) -> RunResult:
    """Return what `tier` answers to every sample, and how good that is; all of it in memory.

    A failure is an outcome with a kind, scored 0; only `unavailable` is not scored.

    Raises:
        ConfigError: the task names an unknown scorer.
        DataError: the store cannot be written; what had finished is safe.
    """
    found: list[Outcome | None] = [None] * len(samples)

    def sink(i: int, _repeat: int, each: Scored, _call: SavedCall | None, _reused: bool) -> None:
        found[i] = each.outcome

    asked = Asked(task, replace(tier, price=price), model, scorer or scorer_of(task))
    done = await run_tier(
        asked, samples, len(samples), roster_of(samples).twins, store, sink, terms or Terms()
    )
    return RunResult(
        task=done.task,
        tier=done.tier,
        tier_digest=done.tier_digest,
        scorer=done.scorer,
        outcomes=tuple(outcome for outcome in found if outcome is not None),
        called=done.called,
        reused=done.reused,
        recorded=done.recorded,
        dead=done.stopped,
    )


async def run_tier(
    asked: Asked,
    samples: Iterable[Sample],
    n: int,
    twins: Numbers | None,
    store: RunStore,
    sink: Sink,
    terms: Terms,
) -> TierRun:
    """Ask one tier about samples that can be walked more than once, and hand each end to the sink.

    Args:
        asked: the tier of a task, its model and scorer.
        samples: walked once, twice where some ask the same.
        n: their number.
        twins: the number of the first sample that asks the same; only that one is called.
        store: keeps the calls.
        sink: takes (number, repeat, outcome, call, reused) of each, in the order of their ends.
        terms: on which terms.

    Raises:
        DataError: the store cannot be written; what had finished is safe.
    """
    state = _begin(asked, samples, n, twins, store, sink, terms)
    await _together(state, _steps(state, first=True))
    if twins is not None and not asked.tier.recorded:
        state.kept = store.calls(asked.task.name, asked.tier.name)
        await _together(state, _steps(state, first=False))
    state.books.end()
    return _ended(state)


def _begin(
    asked: Asked,
    samples: Iterable[Sample],
    n: int,
    twins: Numbers | None,
    store: RunStore,
    sink: Sink,
    terms: Terms,
) -> _Run:
    task, tier = asked.task.name, asked.tier.name
    pace = terms.pace or Pace(terms.concurrency, clock=terms.clock, sleep=terms.sleep)
    return _Run(
        asked=asked,
        samples=samples,
        twins=None if asked.tier.recorded else twins,
        store=store,
        terms=terms,
        sink=sink,
        books=Books(
            task,
            tier,
            n * terms.repeat,
            terms.progress,
            terms.clock,
            free=asked.tier.recorded,
        ),
        caller=Caller(asked.task, asked.tier, asked.model, pace, terms.patience),
        purse=terms.purse or Purse(),
        expected=Expectation(asked.tier.price, terms.estimate_tokens),
        keeper=Keeper(store, task, tier),
        kept=store.calls(task, tier),
    )


def _ended(state: _Run) -> TierRun:
    asked, books = state.asked, state.books
    return TierRun(
        task=asked.task.name,
        tier=asked.tier.name,
        tier_digest=asked.model.digest,
        scorer=asked.scorer.id,
        called=books.called,
        reused=books.reused,
        failed=books.failed,
        cost_usd=books.cost_usd,
        cost_unknown=books.cost_unknown,
        recorded=asked.tier.recorded,
        stopped=state.stopped,
        dead=state.dead,
    )


def _steps(state: _Run, *, first: bool) -> Iterator[_Step]:
    """Yield what is to be asked: first every question once, then those that ask the same again."""
    asked, twins = state.asked, state.twins
    task, tier, recorded = asked.task, asked.tier.name, asked.tier.recorded
    able, tier_digest = asked.model.capabilities, asked.model.digest
    for i, sample in enumerate(state.samples):
        if (twins is None or twins[i] == i) != first:
            continue
        request = ask_of(task, tier, sample, able)
        for repeat in range(state.terms.repeat):
            key = call_key(request, tier_digest, recorded=recorded, repeat=repeat)
            yield _Step(i, repeat, sample, request, key)


async def _together(state: _Run, steps: Iterator[_Step]) -> None:
    """Take the steps, as many at a time as the terms allow, from one shared list."""
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, state.terms.concurrency)):
                group.create_task(_work(state, steps))
    except BaseExceptionGroup as several:
        # The first cause is what a person can act on; the others followed from it.
        raise several.exceptions[0] from None


async def _work(state: _Run, steps: Iterator[_Step]) -> None:
    for step in steps:
        kept = state.kept.get(step.key)
        if kept is not None and kept.failure not in ASKED_AGAIN:
            _note(state, step, kept, reused=True)
            await _breathe(state)
        elif state.stopped is not None:
            _skip(state, step)
        elif (why := lacks(step.request, state.asked.model.capabilities)) is not None:
            _pass_over(state, step, "incapable", why)
        else:
            await _ask(state, step)


async def _breathe(state: _Run) -> None:
    """Let calls in flight go on, which a long stretch of kept ones would hold up."""
    state.unbroken += 1
    if state.unbroken % BREATH == 0:
        await asyncio.sleep(0)


async def _ask(state: _Run, step: _Step) -> None:
    """Call the tier when there is money; keep the call before anybody hears of it."""
    purse = state.purse
    reserved = await purse.reserve(lambda: state.expected.of(step.request))
    if reserved is None:
        state.stopped = state.stopped or f"the ${purse.limit_usd:g} of --max-usd are used up"
        return _skip(state, step)
    if state.stopped is not None:  # while this one waited for money
        purse.settle(reserved, 0.0)
        return _skip(state, step)
    call = await _call(state, step)
    if purse.limit_usd is not None:
        state.expected.learn(step.request, call)
    purse.settle(reserved, billed(state.asked.tier.price, call))
    await state.keeper.keep(call)
    _note(state, step, call, reused=False)
    return None


async def _call(state: _Run, step: _Step) -> SavedCall:
    try:
        return await state.caller.call(step.request, step.key)
    except WeightsError as error:
        state.stopped, state.dead = str(error), True
        return failed_call(step.key, step.sample.id, "unavailable", str(error))


def _note(state: _Run, step: _Step, call: SavedCall, *, reused: bool) -> None:
    """Score a call, hand it on, keep the books, and give the tier up when it seems dead."""
    asked = state.asked
    tier, price = asked.tier.name, asked.tier.price
    found = scored(asked.task, asked.scorer, step.sample, tier, price, call)
    state.sink(step.number, step.repeat, found, call, reused)
    if not reused:
        _watch(state, call)
    state.books.note(found.outcome, call, reused=reused)


def _watch(state: _Run, call: SavedCall) -> None:
    """Give a tier up after too many failures in a row, so that it does not hold up the rest."""
    state.in_a_row = state.in_a_row + 1 if call.failure in SIGNS_OF_DEATH else 0
    if state.in_a_row >= state.terms.patience.give_up_after and state.stopped is None:
        said = call.detail or call.failure
        state.stopped = f"{state.in_a_row} failures in a row, the last: {said}"
        state.dead = True


def _skip(state: _Run, step: _Step) -> None:
    _pass_over(state, step, "unavailable" if state.dead else "not_asked", state.stopped or "")


def _pass_over(state: _Run, step: _Step, kind: str, why: str) -> None:
    """Note a sample that nobody was asked about: it has no score, and is counted."""
    outcome = not_answered(step.sample, state.asked.tier.name, kind)
    state.sink(step.number, step.repeat, Scored(outcome, why), None, False)
    state.books.note(outcome, None, reused=False)
