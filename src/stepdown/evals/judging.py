"""Let a judge score answers: each case asked as often as it takes, each end a value.

A judge that fails, or whose reply cannot be read, leaves its case unscored with a kind; that is
never a score of 0. It does not know where calls are kept, nor which tiers answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from stepdown.core.judge import Judge
from stepdown.core.request import Completion, Request, Usage
from stepdown.core.verdict import Case, Verdict, judge_request, read_verdict
from stepdown.errors import ModelError, Overloaded
from stepdown.evals.harness import SIGNS_OF_DEATH, Patience
from stepdown.ports.model import Model

GIVEN_UP = "judge_unavailable"
SAME = "same"  # two equal answers tie without a call


class Said(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of the judge: its word or its failure. `swapped`: the other answer stood first."""

    word: str | None = None
    failure: str | None = None
    swapped: bool = False
    usage: Usage = Usage()
    latency_s: float | None = None


class Judged(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one case: the mean of what the judge said, None where it said nothing usable.

    A pair is scored only when both orders were, so that a preference for a place cancels out.
    """

    score: float | None
    failure: str | None = None
    said: tuple[Said, ...] = ()


@dataclass(slots=True)
class _Bench:
    """What does not change from case to case, and the count of failures in a row."""

    judge: Judge
    model: Model
    timeout_s: float
    patience: Patience
    sleep: Callable[[float], Awaitable[None]]
    in_a_row: int = 0
    dead: bool = field(default=False)


async def judge_cases(
    judge: Judge,
    cases: Sequence[Case],
    model: Model,
    *,
    timeout_s: float,
    concurrency: int,
    patience: Patience | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    report: Callable[[Judged], None] | None = None,
) -> tuple[Judged, ...]:
    """Return what the judge makes of each case, in their order.

    A judge that fails too often in a row is given up; the cases left are unscored.
    """
    bench = _Bench(judge, model, timeout_s, patience or Patience(), sleep)
    done: list[Judged | None] = [None] * len(cases)
    numbers = iter(range(len(cases)))
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(max(1, concurrency), len(cases))):
                group.create_task(_work(bench, cases, numbers, done, report))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return tuple(one for one in done if one is not None)


async def _work(
    bench: _Bench,
    cases: Sequence[Case],
    numbers: Iterator[int],
    done: list[Judged | None],
    report: Callable[[Judged], None] | None,
) -> None:
    for number in numbers:
        found = await _one(bench, cases[number])
        done[number] = found
        if report is not None:
            report(found)


async def _one(bench: _Bench, case: Case) -> Judged:
    if case.other is not None and case.other == case.answer:
        return Judged(score=0.5, said=(Said(word=SAME),))
    orders = (False, True) if bench.judge.kind == "pairwise" else (False,)
    said = [
        await _ask(bench, case, swapped=swapped, number=number)
        for number in range(bench.judge.repeats)
        for swapped in orders
    ]
    return _judged(bench.judge, tuple(said))


def _judged(judge: Judge, said: tuple[Said, ...]) -> Judged:
    """Average what can be used; of a pair, the repeats in which both orders were said."""
    step = 2 if judge.kind == "pairwise" else 1
    rounds = [said[start : start + step] for start in range(0, len(said), step)]
    usable = [each for turn in rounds if all(one.word for one in turn) for each in turn]
    if not usable:
        return Judged(score=None, failure=next(s.failure for s in said if s.failure), said=said)
    return Judged(score=sum(_worth(judge, one) for one in usable) / len(usable), said=said)


def _worth(judge: Judge, one: Said) -> float:
    value = judge.worth(one.word or "")
    return 1.0 - value if one.swapped else value


async def _ask(bench: _Bench, case: Case, *, swapped: bool, number: int) -> Said:
    if bench.dead:
        return Said(failure=GIVEN_UP, swapped=swapped)
    able = bench.model.capabilities
    request = judge_request(bench.judge, case, able, swapped=swapped, number=number)
    try:
        done = await _patiently(bench, request)
    except ModelError as error:
        _watch(bench, error.kind)
        return Said(failure=f"judge_{error.kind}", swapped=swapped)
    _watch(bench, None)
    verdict: Verdict = read_verdict(bench.judge, done)
    return Said(
        word=verdict.word,
        failure=verdict.failure,
        swapped=swapped,
        usage=done.usage,
        latency_s=done.latency_s,
    )


def _watch(bench: _Bench, kind: str | None) -> None:
    bench.in_a_row = bench.in_a_row + 1 if kind in SIGNS_OF_DEATH else 0
    bench.dead = bench.dead or bench.in_a_row >= bench.patience.give_up_after


async def _patiently(bench: _Bench, request: Request) -> Completion:
    for wait_s in bench.patience.overload_waits_s:
        try:
            return await bench.model.complete(request, timeout_s=bench.timeout_s)
        except Overloaded:
            await bench.sleep(wait_s)
    return await bench.model.complete(request, timeout_s=bench.timeout_s)
