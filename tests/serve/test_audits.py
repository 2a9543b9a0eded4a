"""Audits: who is drawn, what is asked of whom, and what is written where nobody could be asked."""

from __future__ import annotations

from msgspec.structs import replace
from serve_fakes import BY_THE_SECOND, FakeModel

from stepdown.core.beside import Shadow
from stepdown.core.call import Call
from stepdown.core.confidence import Calibrator
from stepdown.core.contract import Contract
from stepdown.core.exposure import ALL, Exposure, seed_of
from stepdown.core.hints import read_hints
from stepdown.core.keeping import Keeping, shadow_without_texts, tally_of_shadow
from stepdown.core.lock import Guarantee, Lock, LockedTask
from stepdown.core.policy import cascade
from stepdown.core.request import Completion, Message
from stepdown.core.task import Task
from stepdown.core.tier import Price, Tier
from stepdown.core.trace import Trace
from stepdown.core.withdrawal import Withdrawal
from stepdown.errors import ModelError
from stepdown.serve.audits import Audits, Purse, is_drawn
from stepdown.serve.ramp import Ramp
from stepdown.serve.service import Service
from stepdown.serve.shadows import Shadows
from stepdown.serve.step import Step

TASK = Task(
    name="intent",
    kind="classify",
    tiers=("small", "big"),
    labels=("refund", "spam"),
    contract=Contract(user="Sort: {input}", output="intent={answer}"),
)
SURE, UNSURE = 0.9, 0.1


def said(text: str, sure: float = SURE) -> FakeModel:
    return FakeModel(Completion(text=text, familiarity=sure, latency_s=0.25))


class Shop:
    """A service over two fake tiers whose kept answers are audited."""

    def __init__(
        self,
        small: FakeModel,
        big: FakeModel,
        purse: Purse = Purse(share=1.0),
        *,
        task: Task = TASK,
        exposure: Exposure = ALL,
        place: str = "self_hosted",
        price: Price = BY_THE_SECOND,
        most: int = 10,
        today: str = "2026-11-22",
        withdrawn: Withdrawal | None = None,
    ) -> None:
        self.small, self.big = small, big
        self.traces: list[Trace] = []
        self.notes: list[Shadow] = []
        locked = LockedTask(
            policy=cascade(("small", "big"), (0.8,)),
            contract=task.contract.digest,
            settings="s",
            guarantee=Guarantee(state="certified", review_by="2026-12-31"),
            tiers={},
        )
        lock = Lock(version=1, generator="t", project="shop", tasks={"intent": locked})
        tiers = {
            "small": Tier(name="small", model="fake:x", price=BY_THE_SECOND),
            "big": Tier(name="big", model="fake:x", place=place, price=price),  # type: ignore[arg-type]
        }
        step = Step(
            task=task,
            policy=locked.policy,
            tiers=tiers,
            models={"small": small, "big": big},
            confidence={"small": Calibrator("familiarity")},
        )
        self.queue = Shadows(self.notes.append, most=most)
        audits = Audits(
            self.notes.append,
            self.queue,
            seed=lambda name: seed_of("shop", name),
            purse=lambda _task: purse,
        )
        self.service = Service(
            lock,
            {"intent": step},
            self.traces.append,
            keeping={"intent": Keeping("full")},
            ramp=Ramp("shop", exposure=lambda _: exposure, shadows=self.queue, audits=audits),
            today=lambda: today,
            withdrawn=lambda _task: withdrawn,
        )

    async def ask(self, name: str = "r1", text: str = "Sort: hello", **hints: str) -> None:
        call = Call(
            id=name, model="intent", messages=(Message("user", text),), hints=read_hints(hints)
        )
        await self.service.answer(call)

    async def audited(self, **hints: str) -> Shadow:
        await self.ask(**hints)
        await self.queue.drain()
        [note] = self.notes
        return note


async def test_a_kept_answer_is_compared_with_the_ceilings_and_its_chance_is_written() -> None:
    note = await Shop(said("refund"), said("refund"), Purse(share=1.0)).audited()
    assert (note.ran, note.id, note.propensity) == ("ceiling", "r1~audit", 1.0)
    assert (note.caller_tier, note.answered_by) == ("small", "big")
    assert (note.loss, note.agreed, note.why_not) == (0.0, True, "")
    assert (note.cost_usd, note.caller_usd) == (0.25, 0.25)


async def test_another_answer_than_the_ceilings_is_a_loss() -> None:
    note = await Shop(said("spam"), said("refund")).audited()
    assert (note.loss, note.agreed) == (1.0, False)
    assert (note.caller_answer, note.answer, note.input) == ("spam", "refund", "hello")


async def test_the_caller_pays_and_waits_for_nothing() -> None:
    shop = Shop(said("refund"), FakeModel("refund", hangs=True))
    await shop.ask()
    assert shop.traces[0].cost_usd == 0.25
    assert [one.tier for one in shop.traces[0].attempts] == ["small"]
    await shop.queue.aclose()
    assert [(one.why_not, one.loss, one.cost_usd) for one in shop.notes] == [
        ("stopped", None, None)
    ]


async def test_an_answer_of_the_ceiling_has_nothing_to_lose_and_is_not_asked_again() -> None:
    shop = Shop(said("spam", UNSURE), said("refund"))
    note = await shop.audited()
    assert (note.why_not, note.loss, note.cost_usd, note.agreed) == ("ceiling", 0.0, 0.0, None)
    assert len(shop.big.asked) == 1


async def test_an_audit_tier_that_is_down_is_counted_as_not_audited_never_as_agreement() -> None:
    note = await Shop(said("refund"), FakeModel(ModelError("503"))).audited()
    assert (note.loss, note.agreed, note.why_not) == (None, None, "provider_error")


async def test_an_audit_that_breaks_is_written_down_and_frees_its_purse() -> None:
    told: list[float | None] = []
    purse = Purse(share=1.0, spent=told.append)
    shop = Shop(said("refund"), FakeModel(RuntimeError("a bug")), purse)
    note = await shop.audited()
    assert (note.why_not, note.loss, note.cost_usd) == ("failed", None, None)
    assert told == [None]


async def test_a_spent_budget_is_written_down_and_nobody_is_asked() -> None:
    shop = Shop(said("refund"), said("refund"), Purse(share=1.0, limited=True, left=lambda: False))
    note = await shop.audited()
    assert (note.why_not, note.cost_usd, note.propensity) == ("budget", 0.0, 1.0)
    assert shop.big.asked == []


async def test_a_budget_cannot_hold_a_ceiling_without_a_price() -> None:
    shop = Shop(said("refund"), said("refund"), Purse(share=1.0, limited=True), price=Price())
    assert (await shop.audited()).why_not == "unpriced"


async def test_an_audit_never_leaves_the_boundary_of_the_request() -> None:
    shop = Shop(said("refund"), said("refund"), place="vendor")
    note = await shop.audited(boundary="embedded")
    assert (note.why_not, shop.big.asked) == ("boundary", [])


async def test_a_full_queue_is_written_down() -> None:
    note = await Shop(said("refund"), said("refund"), most=0).audited()
    assert (note.why_not, note.loss) == ("full", None)


async def test_prose_is_not_compared_and_that_is_said() -> None:
    prose = replace(TASK, kind="draft", labels=(), contract=Contract())
    note = await Shop(said("Hello!"), said("Good day."), task=prose).audited()
    assert (note.why_not, note.loss) == ("not_scored", None)


async def test_what_the_guarantee_does_not_cover_is_not_audited() -> None:
    shop = Shop(said("refund"), said("refund"))
    await shop.ask(text="no such template")
    overdue = Shop(said("refund"), said("refund"), today="2027-01-01")
    await overdue.ask()
    today = Shop(said("refund"), said("refund"), exposure=Exposure(share=0.0))
    await today.ask()
    assert shop.notes == overdue.notes == today.notes == []


async def test_nothing_is_drawn_without_a_share() -> None:
    shop = Shop(said("refund"), said("refund"), Purse())
    await shop.ask()
    assert shop.notes == []


def test_the_draw_can_be_made_again_and_hits_its_share() -> None:
    drawn = [is_drawn(7, f"r{i}", 0.05) for i in range(20_000)]
    assert drawn == [is_drawn(7, f"r{i}", 0.05) for i in range(20_000)]
    assert 880 <= sum(drawn) <= 1120  # 4 standard errors of Binomial(20,000, .05)


async def test_confidence_has_no_part_in_the_draw() -> None:
    purse = Purse(share=0.5)
    one = Shop(said("refund", 0.81), said("refund"), purse)
    other = Shop(said("refund", 0.99), said("refund"), purse)
    for name in [f"r{i}" for i in range(8)]:
        await one.ask(name)
        await other.ask(name)
    await one.queue.drain()
    await other.queue.drain()
    drawn = sorted(note.trace_id for note in one.notes)
    assert drawn == sorted(note.trace_id for note in other.notes)
    assert 0 < len(drawn) < 8


async def test_texts_of_an_audit_are_kept_by_the_same_words_as_those_of_a_request() -> None:
    note = await Shop(said("spam"), said("refund")).audited()
    bare = shadow_without_texts(note)
    assert (bare.input, bare.answer, bare.caller_answer) == (None, None, None)
    assert all(attempt.answer is None for attempt in bare.attempts)
    tally = tally_of_shadow(note, lambda: "x1")
    assert (tally.kind, tally.loss, tally.propensity) == ("audit", 1.0, 1.0)


def taken_back(acts: str, at: float | None = None) -> Withdrawal:
    return Withdrawal(
        task="intent",
        task_digest="d",
        lock_digest="l",
        at="2026-11-22T10:00:00+00:00",
        kind="loss",
        reason="a test",
        acts=acts,  # type: ignore[arg-type]
        signal=None if at is None else "small.confidence",
        threshold=at,
    )


async def test_after_an_alarm_the_ceiling_answers_and_nothing_is_audited() -> None:
    shop = Shop(said("spam"), said("refund"), withdrawn=taken_back("ceiling"))
    await shop.ask()
    [trace] = shop.traces
    assert (trace.answered_by, trace.guarantee) == ("big", "withdrawn")
    assert trace.outside_guarantee == "withdrawn"
    assert shop.notes == []
    status = shop.service.status()["tasks"]["intent"]
    assert (status["guarantee"], status["withdrawn"]) == ("withdrawn", "a test; ceiling answers")


async def test_a_raised_threshold_keeps_what_is_sure_enough_and_audits_go_on() -> None:
    sure = Shop(said("refund", 0.97), said("refund"), withdrawn=taken_back("raised", 0.95))
    note = await sure.audited()
    assert (note.caller_tier, note.outside_guarantee, note.loss) == ("small", "raised", 0.0)
    less = Shop(said("refund", 0.9), said("refund"), withdrawn=taken_back("raised", 0.95))
    await less.ask()
    assert less.traces[0].answered_by == "big"


async def test_a_warning_changes_nothing_that_is_served() -> None:
    shop = Shop(said("refund"), said("refund"), withdrawn=taken_back("warned"))
    note = await shop.audited()
    assert (note.caller_tier, note.outside_guarantee) == ("small", None)
    assert shop.traces[0].guarantee == "certified"


async def test_past_its_date_a_raised_threshold_ends_too() -> None:
    raised = taken_back("raised", 0.5)
    shop = Shop(said("refund"), said("refund"), withdrawn=raised, today="2027-01-01")
    await shop.ask()
    assert shop.traces[0].answered_by == "big"
