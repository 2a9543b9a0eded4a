from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from wire_fake_vendor import (
    KEY,
    MESSAGE_TOOL_USE,
    Naps,
    Server,
    message,
    message_error,
    message_stream,
    sse,
)

from stepdown.adapters.models.wire.anthropic import DEFAULT_MAX_TOKENS, AnthropicModel
from stepdown.core.request import (
    ImagePart,
    Message,
    Request,
    TextPart,
    Tool,
    ToolCall,
    Usage,
)
from stepdown.errors import ModelError, Overloaded, Unavailable

SCHEMA = {"type": "object", "properties": {"total": {"type": "string"}}}


def asked(*messages: Message, **changes: Any) -> Request:
    said = messages or (Message(role="user", content="Hello"),)
    return Request(id="1", task="intent", input="Hello", messages=said, **changes)


@pytest.fixture
async def model(server: Server, naps: Naps) -> AsyncIterator[AnthropicModel]:
    model = AnthropicModel("claude-x", base_url=server.base, api_key=KEY, sleep=naps)
    yield model
    await model.aclose()


async def test_an_answer_is_read_and_the_cached_input_is_added(
    server: Server, model: AnthropicModel
) -> None:
    server.steps = [message()]
    done = await model.complete(asked(logprobs=True))
    assert (done.text, done.finish_reason, done.model) == (
        "card_arrival",
        "stop",
        "claude-x-20261001",
    )
    assert done.usage == Usage(
        input_tokens=1111,
        output_tokens=6,
        cached_tokens=1000,
        cache_write_tokens=100,
        reasoning_tokens=2,
    )
    assert done.logprobs is None
    assert not model.capabilities.logprobs


async def test_cache_counts_that_are_left_out_are_unknown(
    server: Server, model: AnthropicModel
) -> None:
    server.steps = [message(usage={"input_tokens": 3, "output_tokens": 4})]
    done = await model.complete(asked())
    assert done.usage == Usage(input_tokens=3, output_tokens=4)


async def test_the_request_has_the_documented_shape(server: Server, model: AnthropicModel) -> None:
    server.steps = [message()]
    system = (Message(role="system", content="One."), Message(role="developer", content="Two."))
    await model.complete(asked(*system, Message(role="user", content="Hi"), stop=("\n\n",)))
    assert server.paths == ["/v1/messages"]
    assert server.headers[0]["x-api-key"] == KEY
    assert server.headers[0]["anthropic-version"] == "2023-06-01"
    assert server.bodies == [
        {
            "model": "claude-x",
            "max_tokens": DEFAULT_MAX_TOKENS,
            "messages": [{"role": "user", "content": "Hi"}],
            "temperature": 0.0,
            "stop_sequences": ["\n\n"],
            "system": "One.\n\nTwo.",
        }
    ]


async def test_a_schema_is_sent_as_the_output_format(server: Server, model: AnthropicModel) -> None:
    server.steps = [message()]
    await model.complete(asked(schema=SCHEMA, max_tokens=7))
    assert server.bodies[0]["output_config"] == {
        "format": {"type": "json_schema", "schema": SCHEMA}
    }
    assert server.bodies[0]["max_tokens"] == 7


async def test_tools_images_and_tool_results_are_sent_and_calls_are_read(
    server: Server, model: AnthropicModel
) -> None:
    server.steps = [message(content=MESSAGE_TOOL_USE, stop_reason="tool_use")]
    parts = (
        TextPart("see"),
        ImagePart("data:image/png;base64,AA=="),
        ImagePart("https://example.org/a.png"),
    )
    calls = (ToolCall("a", "look", '{"x": 1}'), ToolCall("b", "look", ""))
    request = asked(
        Message(role="user", content=parts),
        Message(role="assistant", content="Looking.", tool_calls=calls),
        Message(role="tool", content="7", tool_call_id="a"),
        Message(role="tool", content="8", tool_call_id="b"),
        tools=(Tool(name="look"),),
    )
    done = await model.complete(request)
    assert (done.text, done.finish_reason) == ("I will.", "tool_calls")
    assert done.tool_calls[0].name == "refund"
    assert done.tool_calls[0].arguments.replace(" ", "") == '{"id":7}'
    first, second, third = server.bodies[0]["messages"]
    assert [block["type"] for block in first["content"]] == ["text", "image", "image"]
    assert first["content"][1]["source"] == {
        "type": "base64",
        "media_type": "image/png",
        "data": "AA==",
    }
    assert [block.get("input") for block in second["content"]] == [None, {"x": 1}, {}]
    assert [block["tool_use_id"] for block in third["content"]] == ["a", "b"]
    assert server.bodies[0]["tools"][0]["input_schema"]["type"] == "object"


async def test_an_earlier_call_without_json_arguments_cannot_be_sent(
    server: Server, model: AnthropicModel
) -> None:
    call = ToolCall("a", "look", "{not json")
    with pytest.raises(Unavailable, match="no JSON object"):
        await model.complete(asked(Message(role="assistant", tool_calls=(call,))))
    assert server.bodies == []


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "refusal"),
        ("stop_sequence", "stop"),
    ],
)
async def test_a_stop_reason_is_put_into_our_words(
    server: Server, model: AnthropicModel, said: str, reason: str
) -> None:
    server.steps = [message(stop_reason=said)]
    assert (await model.complete(asked())).finish_reason == reason


async def test_the_stop_sequence_that_ended_it_is_kept_whole_and_in_a_stream(
    server: Server, model: AnthropicModel
) -> None:
    ended = {"stop_reason": "stop_sequence", "stop_sequence": "END"}
    events = [
        {**event, "delta": ended} if event["type"] == "message_delta" else event
        for event in message_stream()
    ]
    server.steps = [message(**ended), sse(events), message()]
    whole = await model.complete(asked())
    *_, last = [chunk async for chunk in model.stream(asked())]
    assert last.completion is not None
    for said in (whole, last.completion):
        assert (said.finish_reason, said.stop_sequence) == ("stop", "END")
    assert (await model.complete(asked())).stop_sequence is None


async def test_a_refused_temperature_is_left_out_from_then_on(
    server: Server, model: AnthropicModel
) -> None:
    refusal = message_error("invalid_request_error", "`temperature` is deprecated for this model.")
    server.steps = [(400, refusal, {}), message(), message()]
    await model.complete(asked())
    await model.complete(asked())
    assert ["temperature" in body for body in server.bodies] == [True, False, False]


async def test_a_stream_yields_text_and_ends_with_the_whole(
    server: Server, model: AnthropicModel
) -> None:
    server.steps = [sse(message_stream())]
    *texts, last = [chunk async for chunk in model.stream(asked())]
    assert [text for c in texts for text in c.texts or (c.text,) if text] == ["I ", "will."]
    pieces = [piece for c in texts for piece in c.tools]
    assert (pieces[0].index, pieces[0].id, pieces[0].name) == (0, "toolu_1", "refund")
    assert "".join(piece.arguments for piece in pieces) == '{"id": 7}'
    done = last.completion
    assert done is not None
    assert (done.text, done.finish_reason) == ("I will.", "tool_calls")
    assert done.tool_calls == (ToolCall(id="toolu_1", name="refund", arguments='{"id": 7}'),)
    assert (done.usage.input_tokens, done.usage.output_tokens) == (1111, 15)
    assert server.bodies[0]["stream"] is True


@pytest.mark.parametrize("kept", [0, 1, 5, 12])
async def test_a_stream_without_its_last_event_is_an_error(
    server: Server, model: AnthropicModel, kept: int
) -> None:
    server.steps = [sse(message_stream()[:kept])]
    with pytest.raises(ModelError, match="was cut"):
        [chunk async for chunk in model.stream(asked())]


async def test_an_error_inside_a_stream_is_told_by_its_type(
    server: Server, model: AnthropicModel
) -> None:
    failed = message_error("overloaded_error", "Overloaded")
    server.steps = [sse([*message_stream()[:4], failed])]
    with pytest.raises(Overloaded, match="claude-x"):
        [chunk async for chunk in model.stream(asked())]


async def test_an_overloaded_answer_is_tried_again(
    server: Server, model: AnthropicModel, naps: Naps
) -> None:
    server.steps = [(529, message_error("overloaded_error", "Overloaded"), {}), message()]
    assert (await model.complete(asked())).text == "card_arrival"
    assert len(naps.taken) == 1


def test_the_base_may_end_with_the_version() -> None:
    one = AnthropicModel("claude-x", base_url="https://api.anthropic.com/v1/", api_key=KEY)
    assert one.digest == AnthropicModel("claude-x", api_key=KEY).digest
    assert one.digest != AnthropicModel("claude-x", api_key=KEY, max_tokens=9).digest


def test_the_fixtures_are_what_the_vendors_own_types_read() -> None:
    from anthropic.types import Message as Theirs
    from anthropic.types import RawMessageStreamEvent
    from anthropic.types.shared import ErrorResponse
    from pydantic import TypeAdapter

    for body in (message(), message(content=MESSAGE_TOOL_USE, stop_reason="tool_use")):
        Theirs.model_validate(body, strict=True)
    events = TypeAdapter[Any](RawMessageStreamEvent)
    for event in message_stream():
        if event["type"] != "ping":
            events.validate_python(event, strict=True)
    ErrorResponse.model_validate(message_error("overloaded_error", "Overloaded"), strict=True)
