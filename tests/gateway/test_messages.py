"""Over the wire, with the official Anthropic client: what callers send and what they get back."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from gateway_fake_handler import FakeHandler

from stepdown.adapters.gateway import GatewayApp, running
from stepdown.core.asked import Format, Tool, ToolChoice
from stepdown.core.request import (
    Chunk,
    ImagePart,
    Message,
    TextPart,
    ToolCall,
    ToolPiece,
    Usage,
)
from stepdown.errors import InputError, ModelError, Overloaded, TimedOut, Unavailable

ASK = [{"role": "user", "content": "where is my refund"}]
USE = ToolCall(id="c1", name="look_up", arguments='{"order": 7}')
TOOL = {"name": "look_up", "input_schema": {"type": "object"}}


@pytest.fixture(scope="module")
def only_handler() -> FakeHandler:
    return FakeHandler()


@pytest.fixture
def handler(only_handler: FakeHandler) -> FakeHandler:
    only_handler.forget()
    return only_handler


@pytest.fixture(scope="module")
def url(only_handler: FakeHandler) -> Iterator[str]:
    before = threading.active_count()
    with running(GatewayApp(only_handler, max_body_bytes=100_000)) as base:
        yield base
    assert threading.active_count() == before


@pytest.fixture
def client(url: str, handler: FakeHandler) -> Iterator[Anthropic]:
    with Anthropic(base_url=url, api_key="any", max_retries=0) as opened:
        yield opened


def ask(client: Anthropic, **changes: Any) -> Any:
    return client.messages.create(
        **{"model": "intent", "max_tokens": 100, "messages": ASK, **changes}
    )


def test_the_official_client_gets_a_message(client: Anthropic, handler: FakeHandler) -> None:
    handler.says = {
        "usage": Usage(
            input_tokens=1111, output_tokens=2, cached_tokens=1000, cache_write_tokens=100
        )
    }
    said = ask(client)
    assert [(block.type, block.text) for block in said.content] == [("text", "Intent: refund")]
    assert (said.stop_reason, said.model, said.role, said.type) == (
        "end_turn",
        "intent",
        "assistant",
        "message",
    )
    assert (said.usage.input_tokens, said.usage.output_tokens) == (11, 2)
    assert said.usage.cache_read_input_tokens == 1000
    assert said.usage.cache_creation_input_tokens == 100
    assert said._request_id == handler.calls[0].id


def test_a_call_carries_everything_that_the_caller_said(
    client: Anthropic, handler: FakeHandler
) -> None:
    png = {"type": "base64", "media_type": "image/png", "data": "AA=="}
    mark = {"type": "ephemeral"}
    ask(
        client,
        model="draft",
        system=[{"type": "text", "text": "Be kind.", "cache_control": mark}],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "read"},
                    {"type": "image", "source": png},
                    {"type": "image", "source": {"type": "url", "url": "https://x.example/a"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "c1", "name": "look_up", "input": {"order": 7}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "42"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "c2",
                        "content": [{"type": "text", "text": "no"}],
                        "is_error": True,
                    },
                    {"type": "text", "text": "and now?"},
                ],
            },
        ],
        extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 4},
        stop_sequences=["END"],
        tools=[{**TOOL, "description": "d", "cache_control": mark}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        metadata={"user_id": "u"},
        thinking={"type": "enabled", "budget_tokens": 1024},
        extra_headers={"x-stepdown-step": "s1", "x-request-id": "req-1"},
    )
    (call,) = handler.calls
    address = ImagePart("https://x.example/a")
    assert call.messages == (
        Message("system", (TextPart("Be kind.", mark),)),
        Message("user", (TextPart("read"), ImagePart("data:image/png;base64,AA=="), address)),
        Message("assistant", "I look.", (ToolCall("c1", "look_up", '{"order":7}'),)),
        Message("tool", "42", tool_call_id="c1"),
        Message("tool", "no", tool_call_id="c2", is_error=True),
        Message("user", "and now?"),
    )
    asked = call.asked
    assert (asked.max_tokens, asked.temperature, asked.top_p) == (100, 0.5, 0.9)
    assert (asked.stop, asked.parallel_tools) == (("END",), False)
    assert asked.tools == (Tool("look_up", "d", {"type": "object"}, cache_control=mark),)
    assert asked.tool_choice == ToolChoice("required")
    assert set(asked.extra) == {"top_k", "metadata"}
    assert (call.id, call.hints.step, call.metadata["user_id"]) == ("req-1", "s1", "u")


def test_a_schema_for_the_answer_is_carried(client: Anthropic, handler: FakeHandler) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    shape = {"type": "json_schema", "schema": schema}
    ask(client, output_config={"format": shape, "effort": "low"})
    asked = handler.calls[0].asked
    assert asked.format == Format("json_schema", schema, strict=True)
    assert asked.extra == {"output_config": {"effort": "low"}}


def test_what_does_not_come_back_is_named(client: Anthropic) -> None:
    said = client.messages.with_raw_response.create(
        model="intent", max_tokens=9, messages=ASK, thinking={"type": "adaptive"}
    )
    assert said.headers["x-stepdown-ignored"] == "thinking"


def test_tool_calls_come_back_as_blocks(client: Anthropic, handler: FakeHandler) -> None:
    other = ToolCall(id="c2", name="look_up", arguments="not json")
    handler.says = {"text": "", "tool_calls": (USE, other), "finish_reason": "tool_calls"}
    said = ask(client, tools=[TOOL])
    assert said.stop_reason == "tool_use"
    assert [(b.type, b.id, b.input) for b in said.content] == [
        ("tool_use", "c1", {"order": 7}),
        ("tool_use", "c2", {"INVALID_JSON": "not json"}),
    ]


def test_a_stop_sequence_ends_only_an_answer_that_ended_by_itself(
    client: Anthropic, handler: FakeHandler
) -> None:
    handler.says = {"stop_sequence": "END"}
    assert (ask(client).stop_reason, ask(client).stop_sequence) == ("stop_sequence", "END")
    assert streamed(client)[1].stop_sequence == "END"
    handler.says = {"stop_sequence": "END", "finish_reason": "length"}
    assert (ask(client).stop_reason, ask(client).stop_sequence) == ("max_tokens", None)


def streamed(client: Anthropic, **changes: Any) -> Any:
    said = {"model": "intent", "max_tokens": 100, "messages": ASK, **changes}
    with client.messages.stream(**said) as events:
        kinds = [event.type for event in events]
        return kinds, events.get_final_message()


def test_a_buffered_answer_comes_as_the_events_of_a_stream(
    client: Anthropic, handler: FakeHandler
) -> None:
    handler.says = {"tool_calls": (USE,), "finish_reason": "tool_calls"}
    _kinds, said = streamed(client)
    assert [block.type for block in said.content] == ["text", "tool_use"]
    assert (said.content[0].text, said.content[1].input) == ("Intent: refund", {"order": 7})
    assert (said.stop_reason, said.usage.output_tokens) == ("tool_use", 2)


def test_the_events_of_a_stream_come_in_the_order_of_the_wire(
    url: str, handler: FakeHandler
) -> None:
    handler.pieces = (
        Chunk(text="Let "),
        Chunk(text="me"),
        Chunk(tools=(ToolPiece(0, "c1", "look_up"),)),
        Chunk(tools=(ToolPiece(0, arguments='{"a"'),)),
        Chunk(tools=(ToolPiece(0, arguments=": 1}"), ToolPiece(1, "c2", "look_up", "{}"))),
    )
    handler.says = {"finish_reason": "tool_calls"}
    body = {"model": "intent", "max_tokens": 9, "messages": ASK, "stream": True}
    request = urllib.request.Request(f"{url}/v1/messages", json.dumps(body).encode())
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["x-stepdown-cost-usd"] == "pending"
        events = [part.split(b"\n") for part in answer.read().strip().split(b"\n\n")]
    names = [lines[0].removeprefix(b"event: ").decode() for lines in events]
    said = [json.loads(lines[1].removeprefix(b"data: ")) for lines in events]
    assert names == [one["type"] for one in said]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    start, delta, stop = block
    assert names == [
        "message_start", "ping",
        start, delta, delta, stop,
        start, delta, delta, stop,
        start, delta, stop,
        "message_delta", "message_stop",
    ]  # fmt: skip
    assert [one["index"] for one in said if "index" in one] == [0] * 4 + [1] * 4 + [2] * 3


def test_pieces_reach_the_client_as_they_are_written(
    client: Anthropic, handler: FakeHandler
) -> None:
    call = (ToolPiece(0, "c1", "look_up", '{"order"'), ToolPiece(0, arguments=": 7}"))
    handler.pieces = (Chunk(text="a"), Chunk(text="b"), Chunk(tools=call))
    handler.says = {"finish_reason": "tool_calls"}
    kinds, said = streamed(client)
    assert kinds.count("text") == 2
    assert said.content[0].text == "ab"
    assert said.content[1].input == {"order": 7}


def test_a_stream_that_breaks_raises_and_never_ends_cleanly(
    client: Anthropic, handler: FakeHandler
) -> None:
    handler.pieces = (Chunk(text="a"),)
    handler.breaks = ModelError("reset by peer")
    with pytest.raises(anthropic.APIStatusError, match="reset by peer"):
        streamed(client)


@pytest.mark.parametrize(
    ("error", "raised", "kind"),
    [
        (Unavailable("gone."), anthropic.UnprocessableEntityError, "invalid_request_error"),
        (Overloaded("full."), anthropic.RateLimitError, "rate_limit_error"),
        (TimedOut("late."), anthropic.InternalServerError, "timeout_error"),
        (ModelError("broken."), anthropic.InternalServerError, "api_error"),
        (InputError("empty."), anthropic.BadRequestError, "invalid_request_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_each_error_raises_the_clients_own_class(
    client: Anthropic,
    handler: FakeHandler,
    error: Exception,
    raised: type[anthropic.APIStatusError],
    kind: str,
    stream: bool,
) -> None:
    handler.says = error
    with pytest.raises(raised) as caught:
        ask(client, stream=stream)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == kind
    assert str(error) in caught.value.message
    assert caught.value.request_id == handler.calls[0].id


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"messages": []}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"extra_body": {"temperature": 1.5}}, "temperature"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "document"}]}]},
            "messages[0].content[0].type",
        ),
        ({"tools": [{"type": "web_search_20250305", "name": "w"}]}, "tools[0]"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"),
    ],
)
def test_a_wrong_body_is_400_and_names_the_path(
    client: Anthropic, handler: FakeHandler, changes: dict[str, Any], place: str
) -> None:
    with pytest.raises(anthropic.BadRequestError, match=place.replace("[", r"\[")):
        ask(client, **changes)
    assert handler.calls == []


def test_an_unknown_model_is_not_found(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="Did you mean 'intent'"):
        ask(client, model="intents")


def test_the_models_are_listed_for_this_client_too(client: Anthropic) -> None:
    assert [model.id for model in client.models.list()] == ["intent", "draft", "tier:frontier"]
    assert client.models.retrieve("draft").display_name == "draft"


def test_the_key_is_taken_as_this_client_sends_it(handler: FakeHandler) -> None:
    with running(GatewayApp(handler, api_key="right")) as url:
        with Anthropic(base_url=url, api_key="right", max_retries=0) as client:
            assert ask(client).content[0].text == "Intent: refund"
        with (
            Anthropic(base_url=url, api_key="wrong", max_retries=0) as client,
            pytest.raises(anthropic.AuthenticationError),
        ):
            ask(client)


async def test_the_async_client_streams_and_may_hang_up(url: str, handler: FakeHandler) -> None:
    handler.pieces = (Chunk(text="a"),)
    handler.hangs = True
    async with anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client:
        async with client.messages.stream(model="intent", max_tokens=9, messages=ASK) as events:
            async for text in events.text_stream:
                assert text == "a"
                break
        assert await handler.was_cancelled()
