"""Both official clients, unmodified, through a served gateway to tiers of both wires and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel
from surface_project import write
from surface_vendor import Vendor, vendor

from stepdown.adapters.gateway import running
from stepdown.core.report import Claim, Table
from stepdown.core.trace import Trace
from stepdown.wiring.reporting import report
from stepdown.wiring.serving import gateway
from stepdown.wiring.workspace import Workspace

DRAFT: Any = [
    {"role": "system", "content": "You write replies."},
    {"role": "user", "content": "They want a refund."},
]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI_TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
CLAUDE_TOOL: Any = {"name": "weather", "input_schema": CITY}
ASK: Any = [{"role": "user", "content": "Weather?"}]


@pytest.fixture(scope="module")
def made_vendor() -> Iterator[Vendor]:
    with vendor() as made:
        yield made


@pytest.fixture(scope="module")
def place(made_vendor: Vendor, tmp_path_factory: Any) -> Iterator[tuple[str, Workspace]]:
    folder: Path = tmp_path_factory.mktemp("surfaces")
    workspace = write(folder, made_vendor.url)
    with gateway(workspace, "127.0.0.1") as (app, _), running(app) as url:
        yield url, workspace


@pytest.fixture
def said(made_vendor: Vendor) -> Vendor:
    made_vendor.forget()
    return made_vendor


@pytest.fixture
def chat(place: tuple[str, Workspace]) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{place[0]}/v1", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(place: tuple[str, Workspace]) -> Iterator[Anthropic]:
    with Anthropic(base_url=place[0], api_key="k", max_retries=0) as client:
        yield client


def trace_of(place: tuple[str, Workspace], name: str) -> Trace:
    with place[1].ledger() as ledger:
        ledger.flush()
        found = ledger.trace(name)
    assert found is not None
    return found


def test_the_last_tier_streams_through_after_the_small_one(
    place: Any, chat: OpenAI, said: Vendor
) -> None:
    said.says = {"small": {"text": "hm"}, "big": {"text": "Dear customer, here."}}
    with chat.chat.completions.with_streaming_response.create(
        model="draft", messages=DRAFT, stream=True, stream_options={"include_usage": True}
    ) as answer:
        told = answer.headers
        chunks = [
            json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: {")
        ]
    assert (told["x-stepdown-tier"], told["x-stepdown-cost-usd"]) == ("big", "pending")
    assert told["x-stepdown-escalations"] == "no_confidence"
    texts = [c["choices"][0]["delta"].get("content") for c in chunks if c["choices"]]
    assert [text for text in texts if text] == ["Dear", " custo", "mer,", " here."]
    assert chunks[-1]["usage"]["completion_tokens"] == 4
    assert [bool(body.get("stream")) for body in said.asked] == [False, True]
    trace = trace_of(place, told["x-request-id"])
    assert trace.answered_by == "big"
    assert trace.first_byte_s is not None
    assert 0 < trace.first_byte_s <= trace.latency_s
    assert trace.cost_usd == pytest.approx((10 * 1 + 4 * 2 + 10 * 10 + 4 * 20) / 1e6)


def test_the_other_client_gets_the_same_answer_from_the_same_policy(
    claude: Anthropic, said: Vendor
) -> None:
    said.says = {"small": {"text": "hm"}, "big": {"text": "Dear customer, here."}}
    asked: Any = {
        "model": "draft",
        "max_tokens": 50,
        "system": "You write replies.",
        "messages": DRAFT[1:],
    }
    with claude.messages.stream(**asked) as events:
        assert list(events.text_stream) == ["Dear", " custo", "mer,", " here."]
        final = events.get_final_message()
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == (
        "end_turn",
        10,
        4,
    )
    assert claude.messages.create(**asked).content[0].text == "Dear customer, here."  # type: ignore[union-attr]


class Name(BaseModel):
    name: str | None


def test_invalid_json_of_the_small_tier_never_reaches_the_caller(
    chat: OpenAI, said: Vendor
) -> None:
    read: Any = [{"role": "user", "content": [{"type": "text", "text": "Read: I am Ann."}]}]
    said.says = {"small": {"text": '{"nam": 1'}, "big": {"text": '{"name": "Ann"}'}}
    found = chat.chat.completions.parse(model="extract", messages=read, response_format=Name)
    assert found.choices[0].message.parsed == Name(name="Ann")
    said.says["small"] = {"text": '{"name": "Bo"}'}
    with chat.chat.completions.stream(
        model="extract", messages=read, response_format=Name
    ) as events:
        assert events.get_final_completion().choices[0].message.parsed == Name(name="Bo")
    assert [body["model"] for body in said.asked] == ["small", "big", "small"]


def test_a_small_tiers_calls_are_checked_and_both_clients_get_calls(
    chat: OpenAI, claude: Anthropic, said: Vendor
) -> None:
    said.says = {
        "small": {"calls": [("c1", "weather", '{"city": 7}')]},
        "big": {"calls": [("c2", "weather", '{"city": "Rome"}')]},
    }
    whole = chat.chat.completions.create(model="tools", messages=ASK, tools=[OPENAI_TOOL])
    assert whole.choices[0].message.tool_calls is not None
    function = whole.choices[0].message.tool_calls[0].function  # type: ignore[union-attr]
    assert json.loads(function.arguments) == {"city": "Rome"}
    said.says["small"] = {"calls": [("c1", "weather", '{"city": "Oslo"}')]}
    message = claude.messages.create(model="tools", max_tokens=9, messages=ASK, tools=[CLAUDE_TOOL])
    assert (message.stop_reason, message.content[0].input) == ("tool_use", {"city": "Oslo"})  # type: ignore[union-attr]
    assert [body["model"] for body in said.asked] == ["small", "big", "small"]


CALLS = [("c1", "weather", '{"city": "Oslo"}'), ("c2", "weather", '{"city": "Rome"}')]


def test_parallel_calls_of_an_anthropic_tier_stream_to_the_openai_client(
    chat: OpenAI, said: Vendor
) -> None:
    said.says = {"claude": {"text": "I look.", "calls": CALLS}}
    with chat.chat.completions.stream(
        model="talk",
        messages=ASK,
        tools=[OPENAI_TOOL],
        tool_choice="required",
        parallel_tool_calls=True,
    ) as events:
        final = events.get_final_completion().choices[0]
    assert final.message.content == "I look."
    assert [json.loads(c.function.arguments) for c in final.message.tool_calls or ()] == [
        {"city": "Oslo"},
        {"city": "Rome"},
    ]
    (body,) = said.asked
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": False}
    assert body["tools"] == [{"name": "weather", "description": "", "input_schema": CITY}]


def test_parallel_calls_of_an_openai_tier_stream_to_the_anthropic_client(
    claude: Anthropic, said: Vendor
) -> None:
    said.says = {"big": {"text": "I look.", "calls": CALLS}}
    with claude.messages.stream(
        model="gpt-4o", max_tokens=9, messages=ASK, tools=[CLAUDE_TOOL]
    ) as events:
        final = events.get_final_message()
    assert [block.type for block in final.content] == ["text", "tool_use", "tool_use"]
    assert [block.input for block in final.content[1:]] == [{"city": "Oslo"}, {"city": "Rome"}]  # type: ignore[union-attr]
    assert final.stop_reason == "tool_use"


def test_a_model_name_of_today_needs_no_change(place: Any, chat: OpenAI, said: Vendor) -> None:
    said.says = {"small": {"text": '{"name": "Ann"}'}, "big": {"text": "whatever"}}
    asked = chat.chat.completions.with_raw_response.create
    read = asked(model="gpt-4o", messages=[{"role": "user", "content": "Read: I am Ann."}])
    assert trace_of(place, read.headers["x-request-id"]).task == "extract"
    assert read.parse().choices[0].message.content == '{"name":"Ann"}'
    other = asked(model="gpt-4o", messages=ASK, temperature=0.3, presence_penalty=0.5, seed=7)
    assert other.headers["x-stepdown-outside-guarantee"] == "unmatched"
    body = said.asked[-1]
    assert (body["model"], body["temperature"], body["presence_penalty"], body["seed"]) == (
        "big",
        0.3,
        0.5,
        7,
    )
    assert "gpt-4o" in [model.id for model in chat.models.list()]
    kept = trace_of(place, other.headers["x-request-id"])
    assert (kept.task, kept.outline, kept.input) == ("gpt-4o", "user of 8 characters", None)
    shown = report(place[1], [kept])
    assert "user of 8 characters" in str(shown.sections)


def test_the_report_has_a_row_for_a_mapped_name_and_keeps_it_out_of_the_total(
    place: Any, chat: OpenAI, said: Vendor
) -> None:
    said.says = {"small": {"text": '{"name": "Ann"}'}, "big": {"text": "whatever"}}
    asked = chat.chat.completions.with_raw_response.create
    bodies = [[{"role": "user", "content": "Read: I am Ann."}], ASK]
    answers = [asked(model="gpt-4o", messages=messages) for messages in bodies]
    kept = [trace_of(place, answer.headers["x-request-id"]) for answer in answers]
    row = {"id": "m1", "text": "I am Ann.", "tools": [], "extract": {"name": "Ann"}}
    (place[1].project.root / "rows.jsonl").write_text(json.dumps(row))
    before_after, answered = report(place[1], kept).sections[0].blocks
    assert isinstance(before_after, Table)
    assert isinstance(answered, Table)
    assert [row[0] for row in before_after.rows] == ["extract", "gpt-4o"]
    assert before_after.rows[1][2] == Claim(kept[1].cost_usd, "usd")
    assert before_after.rows[1][4] is None
    assert [(row[0], row[2]) for row in answered.rows][1] == ("gpt-4o", "big 100.0%")
    alone = report(place[1], kept[:1]).sections[0].blocks[0]
    assert isinstance(alone, Table)
    assert before_after.total == alone.total
    assert any("gpt-4o" in note for note in before_after.notes)


def test_what_another_wire_has_no_word_for_is_told(chat: OpenAI, said: Vendor) -> None:
    said.says = {"claude": {"text": "Sunny."}}
    answer = chat.chat.completions.with_raw_response.create(
        model="talk", messages=ASK, tools=[OPENAI_TOOL], seed=7, presence_penalty=0.5
    )
    assert answer.headers["x-stepdown-ignored"] == "seed, presence_penalty"


def test_the_cache_mark_of_the_caller_reaches_the_vendor(claude: Anthropic, said: Vendor) -> None:
    said.says = {"claude": {"text": "Sunny."}}
    system: Any = [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}]
    message = claude.messages.create(
        model="talk", max_tokens=9, system=system, messages=[*ASK, *ANSWERED, *ASK]
    )
    assert said.asked[0]["system"] == system
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (7, 3)


def test_the_stop_sequence_that_ended_an_answer_is_told(claude: Anthropic, said: Vendor) -> None:
    said.says = {"claude": {"text": "Sunny.", "stop": "END"}}
    asked: Any = {
        "model": "talk",
        "max_tokens": 9,
        "messages": [*ASK, *ANSWERED, *ASK],
        "stop_sequences": ["END"],
    }
    whole = claude.messages.create(**asked)
    with claude.messages.stream(**asked) as events:
        streamed = events.get_final_message()
    for message in (whole, streamed):
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


ANSWERED: Any = [{"role": "assistant", "content": "Sunny."}]


def test_vectors_come_from_an_encoder_in_this_process(place: Any, chat: OpenAI) -> None:
    texts = ["a refund", "a quick refund", "the weather"]
    found = chat.embeddings.create(model="search", input=texts)
    first, second, other = (one.embedding for one in found.data)
    assert len(first) == len(second) == len(other) > 0
    near, far = (sum(a * b for a, b in zip(first, one, strict=True)) for one in (second, other))
    assert near > far
    plain = chat.embeddings.create(model="search", input="a refund", encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(list(found.data[0].embedding))


async def test_a_caller_who_hangs_up_frees_the_vendor(place: Any, said: Vendor) -> None:
    said.says = {"small": {"text": "hm"}, "big": {"text": "Dear customer", "hang": True}}
    async with AsyncOpenAI(base_url=f"{place[0]}/v1", api_key="k", max_retries=0) as client:
        events = await client.chat.completions.create(model="draft", messages=DRAFT, stream=True)
        async for chunk in events:
            if chunk.choices[0].delta.content:
                break
        name = events.response.headers["x-request-id"]
        await events.close()
    assert said.hung_up.wait(10)
    trace = trace_of(place, name)
    assert (trace.answered_by, trace.reason) == (None, "cancelled")
