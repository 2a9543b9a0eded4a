"""What a caller may ask for besides the text: shapes, tools, several answers, tighter bounds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from serve_fakes import ABLE, FakeModel

from stepdown.core.asked import Asked, Format, Tool, ToolChoice
from stepdown.core.call import Call, Reply
from stepdown.core.confidence import Calibrator
from stepdown.core.contract import Contract, Prompt
from stepdown.core.hints import read_hints
from stepdown.core.lock import Guarantee, Lock, LockedTask
from stepdown.core.policy import cascade
from stepdown.core.request import Completion, Message, TextPart, TokenLogprob, ToolCall, Usage
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.core.trace import Trace
from stepdown.errors import InputError, ModelError
from stepdown.serve.service import Service
from stepdown.serve.step import Step

WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}},
                               "required": ["city"], "additionalProperties": False})  # fmt: skip
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
PLACES = {"small": "embedded", "big": "vendor"}


def said(text: str = "", sure: float = 0.9, **more: Any) -> FakeModel:
    return FakeModel(Completion(text=text, familiarity=sure, latency_s=0.1, **more))


class Shop:
    """One task of two tiers: the small one, in this process, keeps what it is sure of."""

    def __init__(self, small: FakeModel, big: FakeModel, **task: Any) -> None:
        self.traces: list[Trace] = []
        self.small, self.big = small, big
        policy = cascade(("small", "big"), (0.8,))
        made = Task(**{"name": "t", "kind": "draft", "tiers": policy.tiers, **task})
        step = Step(
            task=made,
            policy=policy,
            tiers={n: Tier(name=n, model="fake:x", place=PLACES[n]) for n in policy.tiers},  # type: ignore[arg-type]
            models={"small": small, "big": big},
            confidence={"small": Calibrator("familiarity")},
        )
        stated = Guarantee(state="declared", promise="none")
        locked = LockedTask(contract="", settings="", policy=policy, guarantee=stated, tiers={})
        lock = Lock(version=1, generator="t", project="shop", tasks={"t": locked})
        self.service = Service(lock, {"t": step}, self.traces.append, today=lambda: "2026-01-01")

    async def ask(
        self,
        *messages: Message,
        model: str = "t",
        hints: Mapping[str, str] = {},
        **asked: Any,
    ) -> Reply:
        call = Call(
            id="r1",
            model=model,
            messages=messages or (Message("user", "hello"),),
            asked=Asked(**asked),
            hints=read_hints(hints),
            metadata=hints,
        )
        return await self.service.answer(call)


def by(reply: Reply) -> tuple[str | None, str | None]:
    return reply.trace.answered_by, reply.trace.outside_guarantee


# The shape that a caller asks for.


async def test_an_answer_that_breaks_the_callers_schema_escalates_and_is_never_sent() -> None:
    shop = Shop(said('{"a": 1}'), said('{"a": "x"}'), kind="extract", fields=("a",))
    shape = Format("json_schema", {**SCHEMA, "properties": {"a": {"minLength": 1}}})
    reply = await shop.ask(format=shape)
    assert (reply.text, reply.trace.escalations) == ('{"a":"x"}', ("invalid_output",))


async def test_a_schema_of_the_caller_that_is_tighter_than_the_tasks_holds_as_well() -> None:
    shop = Shop(said('{"a": "no"}'), said('{"a": "yes"}'), kind="extract", fields=("a",))
    shape = Format("json_schema", {"properties": {"a": {"const": "yes"}}})
    assert (await shop.ask(format=shape)).text == '{"a":"yes"}'


async def test_where_no_tier_keeps_the_schema_the_caller_gets_an_error() -> None:
    shop = Shop(said("no json"), said('{"a": 1}'), kind="extract", fields=("a",))
    with pytest.raises(ModelError):
        await shop.ask(format=Format("json_schema", SCHEMA))
    assert [a.failure for a in shop.traces[0].attempts] == ["invalid_output", "invalid_output"]


@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
async def test_json_that_a_free_text_task_does_not_render_is_the_ceilings(kind: Any) -> None:
    shop = Shop(said("hi"), said('{"a": "x"}'))
    reply = await shop.ask(format=Format(kind, SCHEMA if kind == "json_schema" else None))
    assert (by(reply), reply.text) == (("big", "contract"), '{"a": "x"}')
    assert shop.small.asked == []


async def test_a_request_that_is_passed_on_is_held_to_its_schema_too() -> None:
    shop = Shop(said('{"a": "small"}'), said('{"a": 1}'))
    reply = await shop.ask(format=Format("json_schema", SCHEMA))
    assert (reply.text, by(reply)) == ('{"a": "small"}', ("small", "contract"))


# Tools.


def call_of(**arguments: Any) -> ToolCall:
    return ToolCall("c9", "weather", json.dumps(arguments))


def tool_shop(small: FakeModel, big: FakeModel, **task: Any) -> Shop:
    return Shop(small, big, kind="tool_call", **task)


async def test_the_small_tiers_calls_are_validated_and_rendered_as_calls() -> None:
    shop = tool_shop(said(tool_calls=(call_of(city="Oslo"),), finish_reason="tool_calls"), said())
    reply = await shop.ask(tools=(WEATHER,))
    assert by(reply) == ("small", None)
    assert reply.tool_calls == (call_of(city="Oslo"),)
    assert (reply.text, reply.finish_reason) == ("", "tool_calls")
    assert shop.small.asked[0].tools == (WEATHER,)


@pytest.mark.parametrize("wrong", [{"city": 7}, {}, {"city": "x", "other": 1}])
async def test_calls_that_break_the_tools_schema_escalate(wrong: dict[str, Any]) -> None:
    shop = tool_shop(said(tool_calls=(call_of(**wrong),)), said(tool_calls=(call_of(city="Rome"),)))
    reply = await shop.ask(tools=(WEATHER,))
    assert (by(reply)[0], reply.trace.escalations) == ("big", ("invalid_output",))
    assert json.loads(reply.tool_calls[0].arguments) == {"city": "Rome"}


async def test_a_tier_told_of_tools_in_words_is_rendered_as_calls_too() -> None:
    written = '{"calls": [{"name": "weather", "arguments": {"city": "Oslo"}}]}'
    prompts = {"small": Prompt(user="Tools: {tools}\n{input}")}
    shop = tool_shop(said(written), said(), prompts=prompts)
    reply = await shop.ask(tools=(WEATHER,))
    assert reply.tool_calls == (ToolCall("call_r1_0", "weather", '{"city":"Oslo"}'),)
    assert "weather" in shop.small.asked[0].messages[0].text


async def test_prose_without_a_call_is_sent_as_prose() -> None:
    reply = await tool_shop(said("Which city?"), said()).ask(tools=(WEATHER,))
    assert (reply.text, reply.tool_calls, reply.finish_reason) == ("Which city?", (), "stop")


@pytest.mark.parametrize(
    "asked",
    [
        {"tool_choice": ToolChoice("required")},
        {"tool_choice": ToolChoice("one", "weather")},
        {"parallel_tools": False},
        {"tools": (Tool("other"),)},
    ],
)
async def test_tools_that_were_not_certified_go_to_the_ceiling(asked: dict[str, Any]) -> None:
    shop = tool_shop(said(), said("ok"), tools=(WEATHER,))
    reply = await shop.ask(**{"tools": (WEATHER,), **asked})
    assert by(reply) == ("big", "contract")
    assert shop.big.asked[0].asked.tools == asked.get("tools", (WEATHER,))


async def test_a_conversation_with_tool_results_is_followed_where_the_contract_says_so() -> None:
    turns = (
        Message("user", "weather in Oslo?"),
        Message("assistant", None, (call_of(city="Oslo"),)),
        Message("tool", "rain", tool_call_id="c9"),
    )
    small = said("It rains.")
    many = tool_shop(small, said(), contract=Contract(turns="many"))
    assert by(await many.ask(*turns, tools=(WEATHER,))) == ("small", None)
    assert small.asked[0].messages == turns
    one = tool_shop(said(), said("ok"))
    assert by(await one.ask(*turns, tools=(WEATHER,))) == ("big", "contract")


# The input.


async def test_text_in_parts_matches_as_one_string_does() -> None:
    shop = Shop(said("ok"), said(), contract=Contract(user="Sort: {input}"))
    reply = await shop.ask(Message("user", (TextPart("Sort:"), TextPart("mine"))))
    assert (by(reply), shop.small.asked[0].input) == (("small", None), "mine")


async def test_the_input_may_stand_at_a_path_in_json() -> None:
    contract = Contract(user="Sort: {input}", path="mail.body")
    shop = Shop(said("ok"), said("ok"), contract=contract)
    sent = json.dumps({"mail": {"body": "help", "from": "x"}})
    assert by(await shop.ask(Message("user", f"Sort: {sent}"))) == ("small", None)
    assert shop.small.asked[0].input == "help"
    assert contract.take_input(contract.wrap("help")) == "help"
    for other in ('{"mail": {}}', '{"mail": 7}', "[]", "no json"):
        reply = await shop.ask(Message("user", f"Sort: {other}"))
        assert by(reply) == ("big", "contract")


async def test_earlier_turns_reach_a_tier_with_a_prompt_of_its_own() -> None:
    shop = Shop(
        said("ok"),
        said(),
        contract=Contract(turns="many"),
        prompts={"small": Prompt(user="Now: {input}")},
    )
    turns = (Message("user", "hi"), Message("assistant", "hello"), Message("user", "bye"))
    assert by(await shop.ask(*turns)) == ("small", None)
    asked = shop.small.asked[0].messages
    assert [m.text for m in asked] == ["hi", "hello", "Now: bye"]


# Several answers, and log-probabilities.


async def test_several_answers_are_as_many_calls_of_the_ceiling_booked_as_one_trace() -> None:
    texts = iter(["one", "two", "three"])
    usage = Usage(input_tokens=5, output_tokens=2)
    big = FakeModel(lambda _request: Completion(text=next(texts), usage=usage, latency_s=0.1))
    shop = Shop(said(), big)
    reply = await shop.ask(n=3, temperature=0.7)
    assert [choice.text for choice in reply.choices] == ["one", "two", "three"]
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (15, 6)
    assert by(reply) == ("big", "contract")
    (trace,) = shop.traces
    assert [a.id for a in trace.attempts] == ["r1/1", "r1/2", "r1/3"]


async def test_log_probabilities_come_from_a_tier_that_has_them() -> None:
    odds = (TokenLogprob("hi", -0.1),)
    big = FakeModel(
        Completion(text="hi", logprobs=odds, latency_s=0.1), able=replace(ABLE, logprobs=True)
    )
    reply = await Shop(said(), big).ask(logprobs=True, top_logprobs=2)
    assert (reply.logprobs, big.asked[0].top_logprobs) == (odds, 2)
    without = Shop(said(), said("hi"))
    with pytest.raises(ModelError, match="gives no log-probabilities"):
        await without.ask(logprobs=True)


# Hints tighten and never widen.


@pytest.mark.parametrize(
    ("boundary", "hint", "answers"),
    [
        ("vendor", "embedded", "small"),
        ("embedded", "vendor", "small"),
        ("embedded", "hosted_open", "small"),
        ("vendor", "vendor", "big"),
        ("vendor", None, "big"),
    ],
)
@pytest.mark.parametrize("matched", [True, False])
async def test_a_hint_moves_the_boundary_inwards_only(
    boundary: Any, hint: str | None, answers: str, matched: bool
) -> None:
    shop = Shop(said("mine", sure=0.1), said("theirs"), boundary=boundary)
    extra: dict[str, Any] = {} if matched else {"n": 1, "tools": (WEATHER,)}
    hints = {} if hint is None else {"boundary": hint, "task": "t"}
    reply = await shop.ask(hints=hints, **extra)
    assert reply.trace.answered_by == answers
    assert (shop.big.asked == []) == (answers == "small")


async def test_no_hint_opens_a_tier_that_the_task_forbids_to_a_direct_call() -> None:
    shop = Shop(said(), said("theirs"), boundary="embedded")
    for hint in ("vendor", "self_hosted"):
        with pytest.raises(ModelError):
            await shop.ask(model="tier:big", hints={"boundary": hint})
    assert shop.big.asked == []


async def test_a_customer_facing_request_is_polished_though_the_task_is_not() -> None:
    shop = Shop(said("draft"), said("polished"))
    polished = await shop.ask(hints={"customer_facing": "true"})
    assert (polished.text, polished.trace.outside_guarantee) == ("polished", "customer_facing")
    plain = await shop.ask(hints={"customer_facing": "false"})
    assert (plain.text, plain.trace.outside_guarantee) == ("draft", None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("boundary", "moon"),
        ("boundary", ""),
        ("customer_facing", "maybe"),
        ("deadline_ms", "-1"),
        ("deadline_ms", "0"),
        ("deadline_ms", "1e9"),
        ("deadline_ms", "9" * 50),
        ("deadline_ms", "٣"),
    ],
)
def test_a_hint_that_makes_no_sense_is_refused_and_never_passed_over(name: str, value: str) -> None:
    with pytest.raises(InputError, match=name):
        read_hints({name: value})


def test_hints_are_read_as_what_they_are() -> None:
    hints = read_hints(
        {"trace_id": "t1", "step": "s", "session_id": "x", "deadline_ms": "1500", "other": "?"}
    )
    assert (hints.message_id, hints.step, hints.session, hints.deadline_s) == ("t1", "s", "x", 1.5)


# What changed nothing is told.


@pytest.mark.parametrize(
    ("wire", "told"), [("openai", ()), ("anthropic", ("seed", "top_k")), ("", ("top_k",))]
)
async def test_what_the_answering_tier_has_no_word_for_is_told(
    wire: str, told: Sequence[str]
) -> None:
    big = FakeModel(Completion(text="x", latency_s=0.1), able=replace(ABLE, wire=wire))
    reply = await Shop(said(), big).ask(tools=(WEATHER,), wire="openai", seed=1, extra={"top_k": 5})
    assert reply.ignored == told


async def test_a_matched_request_tells_every_parameter_that_it_does_not_follow() -> None:
    reply = await Shop(said("x"), said()).ask(temperature=0.7, stop=("a",), extra={"user": "me"})
    assert reply.ignored == ("temperature", "stop", "user")


async def test_a_tier_that_reads_bare_inputs_never_answers_what_matches_no_contract() -> None:
    head = FakeModel("label", able=replace(ABLE, chat=False))
    with pytest.raises(ModelError):
        await Shop(head, FakeModel(ModelError("down"))).ask(Message("user", "a"), n=2)
    assert head.asked == []
