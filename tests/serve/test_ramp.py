"""The ramp: today's model in front, the policy beside it, arms, sessions, budgets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from serve_fakes import BY_THE_SECOND, FakeModel

from stepdown.core.beside import Shadow
from stepdown.core.call import Call
from stepdown.core.confidence import Calibrator
from stepdown.core.contract import Contract, Prompt
from stepdown.core.exposure import TODAY, Exposure
from stepdown.core.hints import read_hints
from stepdown.core.keeping import Keeping
from stepdown.core.lock import Guarantee, Lock, LockedTask
from stepdown.core.policy import cascade
from stepdown.core.request import Completion, Message
from stepdown.core.task import Task
from stepdown.core.tier import Price, Tier
from stepdown.core.trace import Trace
from stepdown.errors import Unavailable
from stepdown.serve.ramp import Ramp
from stepdown.serve.service import Service
from stepdown.serve.sessions import Sessions
from stepdown.serve.shadows import Budget, Shadows
from stepdown.serve.step import Step

CONTRACT = Contract(user="Sort: {input}", output="intent={answer}")
TASK = Task(
    name="intent",
    kind="classify",
    tiers=("small", "big"),
    labels=("refund", "spam"),
    contract=CONTRACT,
)
SHADOW = Exposure(share=0.0, shadow=1.0)


def said(text: str, sure: float = 0.9) -> FakeModel:
    return FakeModel(Completion(text=text, familiarity=sure, latency_s=0.25))


class Shop:
    """A service over two fake tiers behind a ramp."""

    def __init__(
        self,
        small: FakeModel,
        big: FakeModel,
        exposure: Exposure = SHADOW,
        *,
        task: Task = TASK,
        baseline: str | None = "big",
        budget: Budget = Budget(),
        most: int = 10,
        place: str = "self_hosted",
        price: Price = BY_THE_SECOND,
        today: str = "2026-11-22",
    ) -> None:
        self.small, self.big = small, big
        self.traces: list[Trace] = []
        self.notes: list[Shadow] = []
        self.exposure = exposure
        locked = LockedTask(
            policy=cascade(("small", "big"), (0.8,)),
            contract=task.contract.digest,
            settings="s",
            guarantee=Guarantee(state="certified", review_by="2026-12-31"),
            tiers={},
        )
        lock = Lock(version=1, generator="t", project="shop", tasks={"intent": locked})
        tiers = {
            name: Tier(name=name, model="fake:x", place=place, price=price)  # type: ignore[arg-type]
            for name in ("small", "big")
        }
        step = Step(
            task=task,
            policy=locked.policy,
            tiers=tiers,
            models={"small": small, "big": big},
            confidence={"small": Calibrator("familiarity")},
        )
        self.shadows = Shadows(self.notes.append, budgets={"intent": budget}, most=most)
        self.ramp = Ramp(
            "shop",
            exposure=lambda _task: self.exposure,
            baseline=baseline,
            sessions=Sessions(),
            shadows=self.shadows,
        )
        self.service = Service(
            lock,
            {"intent": step},
            self.traces.append,
            keeping={"intent": Keeping("full")},
            ramp=self.ramp,
            baseline=baseline,
            today=lambda: today,
        )

    async def ask(self, name: str = "r1", text: str = "Sort: hello", **hints: str) -> Any:
        call = Call(
            id=name, model="intent", messages=(Message("user", text),), hints=read_hints(hints)
        )
        return await self.service.answer(call)

    async def shadowed(self, name: str = "r1") -> Shadow:
        await self.ask(name)
        await self.shadows.drain()
        return self.notes[-1]


async def test_in_shadow_the_caller_gets_todays_answer_to_its_own_request_as_it_came() -> None:
    shop = Shop(said("refund"), said("today says refund"))
    reply = await shop.ask()
    assert reply.text == "today says refund"
    assert reply.trace.arm == "today"
    assert reply.trace.outside_guarantee is None
    assert shop.big.asked[0].messages == (Message("user", "Sort: hello"),)
    assert shop.small.asked == []


async def test_the_policy_runs_beside_it_and_its_cost_is_its_own() -> None:
    shop = Shop(said("refund"), said("intent=refund"))
    shadow = await shop.shadowed()
    assert (shadow.agreed, shadow.answered_by, shadow.caller_tier) == (True, "small", "big")
    assert (shadow.cost_usd, shadow.policy_usd, shadow.caller_usd) == (0.25, 0.25, 0.25)
    assert shop.traces[0].cost_usd == 0.25
    assert len(shop.traces[0].attempts) == 1


async def test_a_disagreement_is_kept_with_both_answers() -> None:
    shadow = await Shop(said("spam"), said("intent=refund")).shadowed()
    assert (shadow.agreed, shadow.answer, shadow.caller_answer) == (False, "spam", "refund")
    assert shadow.input == "hello"


async def test_where_the_policy_escalates_to_today_it_hears_that_answer_and_pays_it_once() -> None:
    shop = Shop(said("spam", sure=0.1), said("intent=refund"))
    shadow = await shop.shadowed()
    assert (shadow.agreed, shadow.answered_by) == (True, "big")
    assert len(shop.big.asked) == 1
    assert (shadow.cost_usd, shadow.policy_usd) == (0.25, 0.5)


async def test_a_tier_with_a_prompt_of_its_own_is_asked_again() -> None:
    task = replace(TASK, prompts={"big": Prompt(user="One of {labels}: {input}")})
    shop = Shop(said("spam", sure=0.1), said("intent=refund"), task=task)
    shadow = await shop.shadowed()
    assert shadow.cost_usd == 0.5
    assert [m.messages[0].text for m in shop.big.asked] == [
        "Sort: hello",
        "One of refund, spam: hello",
    ]


async def test_an_answer_of_today_that_cannot_be_read_is_not_compared() -> None:
    shadow = await Shop(said("refund"), said("I would say it is a refund.")).shadowed()
    assert (shadow.agreed, shadow.why_not) == (None, "unreadable")


async def test_free_texts_are_not_compared_word_by_word() -> None:
    task = replace(TASK, kind="draft", labels=())
    shadow = await Shop(said("Hello"), said("intent=Hi there"), task=task).shadowed()
    assert (shadow.agreed, shadow.why_not) == (None, "free_text")


async def test_a_policy_that_fails_beside_a_good_answer_disagrees_and_hurts_nobody() -> None:
    task = replace(TASK, prompts={"big": Prompt(user="{input}")})

    def once(request: Any) -> Completion:
        if request.messages[0].text == "hello":
            raise Unavailable("No.")
        return Completion(text="intent=refund", latency_s=0.25)

    shop = Shop(FakeModel(Unavailable("No.")), FakeModel(once), task=task)
    shadow = await shop.shadowed()
    assert (shadow.agreed, shadow.answered_by) == (False, None)
    assert shop.traces[0].answered_by == "big"


async def test_when_the_queue_is_full_shadows_are_dropped_and_counted_and_answers_go_out() -> None:
    shop = Shop(FakeModel("refund", hangs=True), said("intent=refund"), most=3)
    for number in range(10):
        assert (await shop.ask(f"r{number}")).text == "intent=refund"
    await asyncio.sleep(0)
    dropped = shop.shadows.dropped["intent", "full"]
    assert dropped + shop.shadows.waiting + len(shop.small.asked) == 10
    assert dropped >= 5
    await shop.shadows.aclose()
    assert shop.shadows.waiting == 0


async def test_a_spent_budget_stops_the_shadows_and_not_the_answers() -> None:
    budget = Budget(usd_per_day=1.0, spent=lambda _task: (1.0, 1.0))
    shop = Shop(said("refund"), said("intent=refund"), budget=budget)
    assert (await shop.ask()).trace.answered_by == "big"
    assert shop.shadows.dropped == {("intent", "budget"): 1}


async def test_a_budget_in_dollars_cannot_hold_a_tier_without_a_price() -> None:
    shop = Shop(
        said("refund"), said("intent=refund"), budget=Budget(usd_per_month=1.0), price=Price()
    )
    await shop.ask()
    assert shop.shadows.dropped == {("intent", "unpriced"): 1}


async def test_a_request_that_does_not_match_its_contract_is_not_shadowed() -> None:
    shop = Shop(said("refund"), said("intent=refund"))
    reply = await shop.ask(text="Judge this: hello")
    assert reply.trace.outside_guarantee == "contract"
    assert shop.shadows.waiting == 0


async def test_a_baseline_that_the_task_does_not_have_is_stood_in_for_by_its_ceiling() -> None:
    reply = await Shop(said("refund"), said("intent=refund"), TODAY, baseline="elsewhere").ask()
    assert (reply.trace.answered_by, reply.trace.guarantee) == ("big", "ceiling")


async def test_a_baseline_outside_the_boundary_is_never_today() -> None:
    task = replace(TASK, boundary="embedded")
    shop = Shop(said("refund"), said("intent=refund"), task=task, place="self_hosted")
    with pytest.raises(Unavailable):
        await shop.ask()
    assert shop.big.asked == shop.small.asked == []


async def test_a_share_is_sticky_by_session_and_by_request_without_one() -> None:
    shop = Shop(said("refund"), said("intent=refund"), Exposure(share=0.5))
    arms = {(await shop.ask(f"r{n}", session="s1")).trace.arm for n in range(20)}
    assert len(arms) == 1
    assert {(await shop.ask(f"x{n}")).trace.arm for n in range(40)} == {"policy", "today"}


async def test_a_withdrawn_guarantee_is_the_ceilings_whatever_the_share() -> None:
    shop = Shop(said("refund"), said("intent=refund"), Exposure(share=0.5), today="2027-01-01")
    traces = [(await shop.ask(f"r{n}")).trace for n in range(10)]
    assert {(t.answered_by, t.outside_guarantee, t.arm) for t in traces} == {
        ("big", "withdrawn", None)
    }


async def test_a_conversation_stays_on_the_tier_that_answered_it_and_says_so() -> None:
    shop = Shop(said("spam", sure=0.1), said("intent=refund"), Exposure())
    first = (await shop.ask("r1", session="s1")).trace
    second = (await shop.ask("r2", session="s1")).trace
    other = (await shop.ask("r3", session="s2")).trace
    assert [a.tier for a in first.attempts] == ["small", "big"]
    assert first.outside_guarantee is None
    assert [a.tier for a in second.attempts] == ["big"]
    assert (second.outside_guarantee, second.attempts[0].why) == ("session", "session")
    assert [a.tier for a in other.attempts] == ["small", "big"]


async def test_an_embedded_tier_keeps_no_prompt_so_nothing_stays_there() -> None:
    shop = Shop(said("spam", sure=0.1), said("intent=refund"), Exposure(), place="embedded")
    await shop.ask("r1", session="s1")
    second = (await shop.ask("r2", session="s1")).trace
    assert [a.tier for a in second.attempts] == ["small", "big"]
    assert second.outside_guarantee is None


async def test_a_conversation_that_the_small_tier_answers_is_as_certified() -> None:
    shop = Shop(said("refund"), said("intent=refund"), Exposure())
    await shop.ask("r1", session="s1")
    second = (await shop.ask("r2", session="s1")).trace
    assert (second.answered_by, second.outside_guarantee) == ("small", None)


async def test_the_books_do_not_hold_the_callers_session_id() -> None:
    shop = Shop(said("refund"), said("intent=refund"))
    await shop.ask(session="anna@example.com")
    assert shop.traces[0].session is not None
    assert "anna" not in repr(shop.traces)
