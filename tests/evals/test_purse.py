"""Money: reserved before a call, settled after it, never overspent by more than is in flight."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from eval_fakes import LABEL_TASK, PER_TOKEN, SMALL, FakeModel, MemoryStore, samples
from msgspec.structs import replace

from stepdown.core.request import Completion, Message, Request, Usage
from stepdown.core.tier import Price, Tier
from stepdown.errors import ModelError as ProviderError
from stepdown.errors import TimedOut
from stepdown.evals.harness import Asked, Patience, Terms, TierRun, run_tier
from stepdown.evals.purse import Expectation, Purse, billed
from stepdown.evals.scorers import scorer_of
from stepdown.ports.run_store import SavedCall

PER_CALL = 0.0002  # 100 tokens in at 1 dollar, 50 out at 2 dollars a million


class Slow(FakeModel):
    """Answers in a moment, so that calls overlap."""

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        await asyncio.sleep(0.002)
        return await super().complete(request, timeout_s=timeout_s)


async def spend(model: FakeModel, purse: Purse, n: int = 40, **more: Any) -> TierRun:
    tier = replace(more.pop("tier", SMALL), price=more.pop("price", PER_TOKEN))
    asked = Asked(LABEL_TASK, tier, model, scorer_of(LABEL_TASK))
    store = more.pop("store", MemoryStore())
    terms = Terms(
        purse=purse,
        concurrency=8,
        estimate_tokens=len,
        patience=Patience(give_up_after=1000),
        **more,
    )
    return await run_tier(asked, samples(n), n, None, store, lambda *_: None, terms)


async def test_a_run_stops_before_the_money_is_overspent() -> None:
    purse, model = Purse(10.5 * PER_CALL), Slow(lambda _: "refund")
    done = await spend(model, purse)
    assert done.stopped == "the $0.0021 of --max-usd are used up"
    assert not done.dead
    assert purse.spent_usd == pytest.approx(done.cost_usd)
    assert done.cost_usd <= 10.5 * PER_CALL
    assert done.called == len(model.asked) >= 5


async def test_the_first_call_flies_alone_because_nobody_knows_what_it_costs() -> None:
    model = Slow(lambda _: "refund")
    await spend(model, Purse(PER_CALL * 1.2))
    assert len(model.asked) == 1


async def test_calls_that_cost_more_than_expected_overspend_by_those_in_flight_at_most() -> None:
    costs = iter(range(1, 1000))

    def dearer(_: Request) -> Completion:
        return Completion(text="refund", usage=Usage(100, 50 * next(costs)))

    purse = Purse(0.02)
    done = await spend(Slow(dearer), purse, n=100)
    dearest = (100 + 2 * 50 * done.called) / 1e6
    assert purse.spent_usd <= 0.02 + 8 * dearest
    assert done.stopped is not None


async def test_what_finished_is_kept_and_a_larger_purse_goes_on_from_there() -> None:
    store = MemoryStore()
    first = await spend(Slow(lambda _: "refund"), Purse(5 * PER_CALL), store=store)
    second = await spend(Slow(lambda _: "refund"), Purse(1.0), store=store)
    assert second.reused == first.called > 0
    assert second.called == 40 - first.called
    assert second.stopped is None


async def test_kept_answers_cost_nothing_so_no_money_suffices_for_them() -> None:
    store = MemoryStore()
    await spend(Slow(lambda _: "refund"), Purse(1.0), store=store)
    again = await spend(Slow(lambda _: "refund"), Purse(0.0), store=store)
    assert (again.reused, again.stopped) == (40, None)


async def test_a_purse_is_shared_by_all_tiers_of_a_run() -> None:
    purse = Purse(10 * PER_CALL)
    await spend(Slow(lambda _: "refund"), purse, n=6)
    other = await spend(
        Slow(lambda _: "refund", digest="other"), purse, tier=Tier(name="big", model="fake:big")
    )
    assert other.stopped is not None
    assert purse.spent_usd <= 10 * PER_CALL * 1.0001


async def test_a_provider_that_failed_bills_nothing_and_a_missed_deadline_counts_as_reserved() -> (
    None
):
    free, late = Purse(1.0), Purse(1.0)
    await spend(Slow(lambda _: ProviderError("500")), free, n=5)
    await spend(Slow(lambda _: TimedOut("slow")), late, n=5)
    assert free.spent_usd == 0.0
    assert late.spent_usd == pytest.approx(1.0)


def test_the_expectation_uses_the_limit_of_the_request_else_the_longest_answer_so_far() -> None:
    expected = Expectation(PER_TOKEN, len)
    asked = Request(id="", task="", input="", messages=(Message("user", "x" * 100),))
    assert expected.of(asked) is None
    assert expected.of(replace(asked, max_tokens=50)) == pytest.approx(PER_CALL)
    call = SavedCall(key="", sample_id="", completion=Completion(text="", usage=Usage(1, 200)))
    expected.learn(asked, call)
    assert expected.of(asked) == pytest.approx((100 + 400) / 1e6)
    long = replace(call, completion=Completion(text="", usage=Usage(300, 1)))
    expected.learn(asked, long)
    assert expected.of(asked) == pytest.approx((300 + 400) / 1e6)
    assert Expectation(Price(), len).of(asked) == 0.0


def test_an_answer_without_usage_has_an_unknown_bill() -> None:
    call = SavedCall(key="", sample_id="", completion=Completion(text="x"))
    assert billed(PER_TOKEN, call) is None
