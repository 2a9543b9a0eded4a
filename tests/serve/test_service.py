"""The service: contract, guarantee, notes, costs, privacy and the trace of each reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from serve_fakes import BY_THE_SECOND, FakeModel

from stepdown.core.asked import Asked
from stepdown.core.call import Call
from stepdown.core.confidence import Calibrator
from stepdown.core.contract import Contract, Prompt
from stepdown.core.hints import read_hints
from stepdown.core.lock import Estimate, Guarantee, Lock, LockedTask
from stepdown.core.policy import Policy, cascade
from stepdown.core.request import Completion, Message, Tool, ToolCall
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.core.trace import Trace
from stepdown.errors import InputError, ModelError, Overloaded, TimedOut, Unavailable
from stepdown.serve.service import Service
from stepdown.serve.step import Step

CONTRACT = Contract(user="Sort: {input}", output="intent={answer}")
TASK = Task(
    name="intent",
    kind="classify",
    tiers=("small", "big"),
    labels=("refund", "spam"),
    contract=CONTRACT,
)
POLICY = cascade(("small", "big"), (0.8,))
SECRET = "my card is 4242"


class Shop:
    """A service over two fake tiers, and the traces that it kept."""

    def __init__(
        self,
        small: FakeModel,
        big: FakeModel,
        *,
        task: Task = TASK,
        policy: Policy = POLICY,
        guarantee: Guarantee = Guarantee(state="certified", review_by="2026-12-31"),
        today: str = "2026-11-22",
        tiers: Mapping[str, Mapping[str, Any]] = {},
        baseline: str | None = "big",
    ) -> None:
        self.small, self.big = small, big
        self.traces: list[Trace] = []
        locked = LockedTask(
            policy=policy,
            contract=task.contract.digest,
            settings="s",
            guarantee=guarantee,
            tiers={},
            expected={"baseline_usd": Estimate(0.75, unit="usd")},
        )
        lock = Lock(version=1, generator="t", project="shop", tasks={"intent": locked})
        made = {
            name: Tier(
                **{"name": name, "model": "fake:x", "price": BY_THE_SECOND, **tiers.get(name, {})}
            )
            for name in ("small", "big")
        }
        step = Step(
            task=task,
            policy=policy,
            tiers=made,
            models={"small": small, "big": big},
            confidence={"small": Calibrator("familiarity")},
        )
        self.service = Service(
            lock, {"intent": step}, self.traces.append, baseline=baseline, today=lambda: today
        )

    async def ask(self, text: str = f"Sort: {SECRET}", **keys: Any) -> Any:
        """Ask; keys are fields of the call, of what it asks for, or its metadata."""
        asked = Asked(**{k: keys.pop(k) for k in list(keys) if k in Asked.__struct_fields__})
        hints = read_hints(keys.get("metadata", {}))
        call = {"id": "r1", "model": "intent", "messages": (Message("user", text),), **keys}
        sink = call.pop("sink", None)
        return await self.service.answer(Call(**call, asked=asked, hints=hints), sink)


def sure(text: str = "refund") -> FakeModel:
    return FakeModel(Completion(text=text, familiarity=0.9, latency_s=0.25))


def unsure(text: str = "refund") -> FakeModel:
    return FakeModel(Completion(text=text, familiarity=0.2, latency_s=0.25))


def down() -> FakeModel:
    return FakeModel(Unavailable("Only the recorded tier could answer this."))


async def test_a_sure_small_tier_answers_in_the_callers_shape() -> None:
    shop = Shop(sure(), sure("spam"))
    reply = await shop.ask()
    assert (reply.text, reply.model, reply.note) == ("intent=refund", "intent", "")
    trace = reply.trace
    assert (trace.answered_by, trace.reason, trace.guarantee) == ("small", "confident", "certified")
    assert (trace.cost_usd, trace.confidence, trace.escalated) == (0.25, 0.9, False)
    assert shop.big.asked == []
    assert shop.small.asked[0].input == SECRET


async def test_an_unsure_small_tier_escalates_and_both_calls_are_in_the_trace() -> None:
    reply = await Shop(unsure(), sure("spam")).ask()
    assert (reply.text, reply.trace.answered_by) == ("intent=spam", "big")
    assert reply.trace.escalations == ("low_confidence",)
    assert reply.trace.cost_usd == 0.5


async def test_a_tier_without_a_prompt_of_its_own_gets_the_callers_messages() -> None:
    task = msgspec.structs.replace(TASK, prompts={"small": Prompt(user="{labels}: {input}")})
    shop = Shop(unsure(), sure(), task=task)
    await shop.ask("Sort:   hello ")
    assert shop.small.asked[0].messages == (Message("user", "refund, spam: hello"),)
    assert shop.big.asked[0].messages == (Message("user", "Sort:   hello "),)


async def test_a_request_of_another_shape_goes_to_the_ceiling_and_is_counted() -> None:
    shop = Shop(sure(), sure("spam"))
    reply = await shop.ask("Please judge this: hello")
    assert (reply.trace.answered_by, reply.trace.outside_guarantee) == ("big", "contract")
    assert reply.trace.contract_matched is False
    assert shop.small.asked == []
    assert shop.traces == [reply.trace]


async def test_a_request_with_tools_goes_to_the_ceiling_as_well() -> None:
    reply = await Shop(sure(), sure("spam")).ask(tools=(Tool("look_up"),))
    assert (reply.trace.answered_by, reply.trace.outside_guarantee) == ("big", "contract")


async def test_a_guarantee_past_its_review_date_is_withdrawn_and_the_ceiling_answers() -> None:
    shop = Shop(sure(), sure("spam"), today="2027-01-01")
    trace = (await shop.ask()).trace
    assert (trace.guarantee, trace.outside_guarantee) == ("withdrawn", "withdrawn")
    assert (trace.answered_by, trace.contract_matched) == ("big", True)
    assert shop.service.status()["tasks"]["intent"]["guarantee"] == "withdrawn"


async def test_on_its_review_date_a_guarantee_still_holds() -> None:
    trace = (await Shop(sure(), sure(), today="2026-12-31").ask()).trace
    assert (trace.guarantee, trace.answered_by) == ("certified", "small")


async def test_declared_thresholds_do_not_run_out() -> None:
    stated = Guarantee(state="declared", promise="none", review_by="2026-01-01")
    trace = (await Shop(sure(), sure(), guarantee=stated).ask()).trace
    assert (trace.guarantee, trace.answered_by) == ("declared", "small")


async def test_a_call_of_one_tier_is_marked_as_outside_the_guarantee() -> None:
    reply = await Shop(sure(), sure("spam")).ask(model="tier:big", metadata={"task": "intent"})
    assert (reply.trace.answered_by, reply.trace.outside_guarantee) == ("big", "direct_call")
    assert reply.trace.task == "intent"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"model": "intend"}, "Did you mean 'intent'?"),
        ({"model": "zzz"}, "Known: intent, tier:small, tier:big."),
        ({"model": "tier:huge"}, "There is no model 'tier:huge'"),
        ({"model": "tier:huge", "metadata": {"task": "intent"}}, "It has: small, big."),
        ({"model": "tier:big", "metadata": {"task": "intend"}}, "Did you mean 'intent'?"),
        ({"messages": (Message("system", "hello"),)}, "no user message"),
    ],
)
async def test_a_call_that_cannot_be_meant_is_refused_with_what_to_do(
    keys: dict[str, Any], said: str
) -> None:
    shop = Shop(sure(), sure())
    with pytest.raises(InputError) as caught:
        await shop.ask(**keys)
    assert said in str(caught.value)
    assert shop.traces == []


async def test_the_trace_is_kept_before_the_reply_goes_out() -> None:
    shop = Shop(sure(), sure())

    def full(_: Trace) -> None:
        raise OSError("no space left")

    shop.service._append = full
    with pytest.raises(OSError, match="no space left"):
        await shop.ask()


async def test_the_trace_is_kept_when_no_tier_could_answer() -> None:
    shop = Shop(down(), down())
    with pytest.raises(Unavailable, match="Only the recorded tier could answer this"):
        await shop.ask()
    (trace,) = shop.traces
    assert (trace.answered_by, trace.outside_guarantee, trace.cost_usd) == (None, "unavailable", 0)
    assert [attempt.failure for attempt in trace.attempts] == ["unavailable", "unavailable"]


async def test_when_the_recorded_ceiling_cannot_answer_the_embedded_tier_does_and_says_so() -> None:
    reply = await Shop(unsure(), down()).ask()
    assert reply.text == "intent=refund"
    assert reply.note == "answered by small; Only the recorded tier could answer this."
    assert (reply.trace.answered_by, reply.trace.outside_guarantee) == ("small", "unavailable")


async def test_an_unmatched_request_that_the_ceiling_cannot_answer_reaches_the_small_tier() -> None:
    reply = await Shop(unsure(), down()).ask("hello")
    assert (reply.trace.answered_by, reply.trace.outside_guarantee) == ("small", "contract")


async def test_a_recorded_answer_says_what_it_is() -> None:
    big = FakeModel(Completion(text="spam", recorded=True))
    reply = await Shop(unsure(), big, tiers={"big": {"recording": "answers of 2026"}}).ask()
    assert (reply.recorded, reply.note) == (True, "answers of 2026")
    assert reply.trace.cost_usd is None


async def test_the_baseline_costs_what_was_paid_when_it_was_called() -> None:
    reply = await Shop(unsure(), FakeModel(Completion(text="spam", latency_s=0.125))).ask()
    assert (reply.trace.baseline_tier, reply.trace.baseline_usd) == ("big", 0.125)


async def test_the_baseline_costs_its_mean_when_it_was_not_called() -> None:
    assert (await Shop(sure(), sure()).ask()).trace.baseline_usd == 0.75


async def test_stored_metadata_holds_no_text() -> None:
    shop = Shop(sure(), sure())
    await shop.ask(metadata={"message_id": "m1", "step": "triage"})
    (trace,) = shop.traces
    written = msgspec.json.encode(trace).decode()
    assert SECRET not in written
    assert "refund" not in written
    assert (trace.message_id, trace.step) == ("m1", "triage")


async def test_a_task_that_stores_all_keeps_input_and_answers() -> None:
    task = msgspec.structs.replace(TASK, store="full")
    trace = (await Shop(sure(), sure(), task=task).ask()).trace
    assert (trace.input, trace.answer, trace.attempts[0].answer) == (SECRET, "refund", "refund")


OUTSIDE = {"big": {"place": "vendor"}}
INSIDE = msgspec.structs.replace(TASK, boundary="embedded")


async def test_a_tier_outside_the_boundary_is_never_called() -> None:
    shop = Shop(unsure(), sure("spam"), task=INSIDE, tiers=OUTSIDE)
    for keys in ({}, {"messages": (Message("user", "of another shape"),)}):
        trace = (await shop.ask(**keys)).trace
        assert trace.answered_by == "small"
    with pytest.raises(Unavailable, match="boundary"):
        await shop.ask(model="tier:big", metadata={"task": "intent"})
    assert shop.big.asked == []
    assert shop.traces[0].outside_guarantee == "boundary"


async def test_a_boundary_holds_when_every_tier_inside_is_down() -> None:
    shop = Shop(down(), sure("spam"), task=INSIDE, tiers=OUTSIDE)
    with pytest.raises(Unavailable):
        await shop.ask()
    assert shop.big.asked == []


async def test_a_tier_that_does_not_answer_in_time_escalates() -> None:
    shop = Shop(FakeModel("", hangs=True), sure("spam"), tiers={"small": {"timeout_s": 0.01}})
    trace = (await shop.ask()).trace
    assert (trace.answered_by, trace.escalations) == ("big", ("deadline",))
    assert trace.attempts[0].failure_detail == "small did not answer within 0.01 s."
    assert trace.cost_usd is None


async def test_a_failing_provider_escalates_and_its_cost_is_unknown() -> None:
    shop = Shop(FakeModel(ModelError("Status 500.")), sure("spam"))
    trace = (await shop.ask()).trace
    assert (trace.answered_by, trace.escalations) == ("big", ("provider_error",))
    assert (trace.cost_usd, trace.outside_guarantee) == (None, None)


async def test_a_label_outside_the_set_is_not_sent_however_sure() -> None:
    trace = (await Shop(sure("weather"), sure("spam")).ask()).trace
    assert (trace.answered_by, trace.escalations) == ("big", ("invalid_output",))


async def test_a_bare_text_is_answered_as_the_wrapped_request_is() -> None:
    shop = Shop(sure(), sure())
    reply = await shop.service.run("intent", SECRET, Call(id="r1", model="", messages=()))
    assert (reply.text, reply.trace.contract_matched) == ("intent=refund", True)


async def test_the_models_are_the_tasks_and_then_the_tiers() -> None:
    assert Shop(sure(), sure()).service.models() == ["intent", "tier:small", "tier:big"]


async def test_an_unmatched_request_and_its_free_answer_are_passed_on_as_they_are() -> None:
    shop = Shop(sure(), FakeModel("It depends on what you mean."))
    reply = await shop.ask("Please judge this: hello", max_tokens=7, temperature=0.5)
    assert reply.text == "It depends on what you mean."
    assert reply.trace.answered_by == "big"
    asked = shop.big.asked[0]
    assert (asked.labels, asked.max_tokens, asked.temperature) == ((), 7, 0.5)
    assert shop.small.asked == []


async def test_the_callers_tools_reach_the_ceiling_and_its_tool_calls_come_back() -> None:
    wanted = ToolCall(id="c1", name="look_up", arguments="{}")
    shop = Shop(sure(), FakeModel(Completion(text="", tool_calls=(wanted,), latency_s=0.5)))
    reply = await shop.ask(tools=(Tool("look_up"),))
    assert shop.big.asked[0].tools == (Tool("look_up"),)
    assert (reply.tool_calls, reply.trace.answered_by) == ((wanted,), "big")


async def test_a_matched_request_runs_with_the_decoding_that_was_certified() -> None:
    shop = Shop(unsure(), sure())
    await shop.ask(max_tokens=7, temperature=0.9)
    assert (shop.big.asked[0].max_tokens, shop.big.asked[0].temperature) == (None, 0.0)


@pytest.mark.parametrize("error", [Overloaded("full"), TimedOut("late"), ModelError("broken")])
async def test_when_nobody_answers_the_caller_learns_whether_to_retry(error: ModelError) -> None:
    shop = Shop(down(), FakeModel(error))
    with pytest.raises(type(error)):
        await shop.ask()
