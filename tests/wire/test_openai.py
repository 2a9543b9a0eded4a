from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from wire_fake_vendor import (
    CHAT_TOOL_CALLS,
    KEY,
    Naps,
    Server,
    chat,
    chat_error,
    chat_stream,
    chunk,
    sse,
    token,
)

from stepdown.adapters.models.wire.openai import DEFAULT_BASE, OpenAIModel
from stepdown.core.request import (
    Chunk,
    ImagePart,
    Message,
    Request,
    TextPart,
    Tool,
    ToolCall,
    Usage,
)
from stepdown.errors import ModelError, Overloaded

SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": ["string", "null"]}},
    "required": ["total"],
    "additionalProperties": False,
}


def asked(**changes: Any) -> Request:
    said = (Message(role="system", content="Be short."), Message(role="user", content="Hello"))
    return Request(id="1", task="intent", input="Hello", messages=said, **changes)


@pytest.fixture
async def model(server: Server, naps: Naps) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel(
        "gpt-x", base_url=f"{server.base}/v1", api_key=KEY, sleep=naps, jitter=lambda: 0.5
    )
    yield model
    await model.aclose()


async def all_of(model: OpenAIModel, request: Request, **options: Any) -> list[Chunk]:
    return [chunk async for chunk in model.stream(request, **options)]


async def test_an_answer_is_read_with_its_usage_and_its_latency(
    server: Server, model: OpenAIModel
) -> None:
    server.steps = [chat()]
    done = await model.complete(asked())
    assert (done.text, done.finish_reason, done.model) == (
        "card_arrival",
        "stop",
        "gpt-x-2026-10-01",
    )
    assert done.usage == Usage(
        input_tokens=19, output_tokens=10, cached_tokens=8, reasoning_tokens=4
    )
    assert done.logprobs is None
    assert done.latency_s is not None
    assert done.latency_s > 0


async def test_the_request_has_the_documented_shape(server: Server, model: OpenAIModel) -> None:
    server.steps = [chat()]
    await model.complete(asked(labels=("a", "b"), max_tokens=5, seed=3, stop=("\n",)))
    assert server.paths == ["/v1/chat/completions"]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert server.bodies == [
        {
            "model": "gpt-x",
            "messages": [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": "Hello"},
            ],
            "n": 1,
            "temperature": 0.0,
            "seed": 3,
            "stop": ["\n"],
            "max_tokens": 5,
        }
    ]


def test_openai_itself_gets_the_new_name_of_the_limit_and_must_not_store() -> None:
    form = OpenAIModel("gpt-x", api_key=KEY)._form
    body = form.body(asked(max_tokens=5), frozenset(), stream=True)
    assert body["max_completion_tokens"] == 5
    assert "max_tokens" not in body
    assert body["store"] is False
    assert body["stream_options"] == {"include_usage": True}


async def test_a_request_without_messages_sends_its_bare_input(
    server: Server, model: OpenAIModel
) -> None:
    server.steps = [chat()]
    await model.complete(Request(id="1", task="t", input="only this"))
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "only this"}]


async def test_a_schema_is_sent_strict(server: Server, model: OpenAIModel) -> None:
    server.steps = [chat(content='{"total": null}')]
    done = await model.complete(asked(schema=SCHEMA))
    assert done.text == '{"total": null}'
    assert server.bodies[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
    }


async def test_logprobs_come_with_alternatives_only_when_asked(
    server: Server, model: OpenAIModel
) -> None:
    told = {"content": [token("card", -0.25, ("card", -0.25), ("cash", -1.5))], "refusal": None}
    server.steps = [chat(logprobs=told)] * 3
    ranked = await model.complete(asked(logprobs=True, top_logprobs=2))
    plain = await model.complete(asked(logprobs=True))
    none = await model.complete(asked())
    assert ranked.logprobs is not None
    assert plain.logprobs is not None
    assert ranked.logprobs[0].top == (("card", -0.25), ("cash", -1.5))
    assert (plain.logprobs[0].logprob, plain.logprobs[0].top) == (-0.25, ())
    assert none.logprobs is None
    assert [b.get("top_logprobs") for b in server.bodies] == [2, None, None]
    assert [b.get("logprobs") for b in server.bodies] == [True, True, None]


async def test_tools_images_and_tool_results_are_sent_and_calls_are_read(
    server: Server, model: OpenAIModel
) -> None:
    server.steps = [chat(content=None, tool_calls=CHAT_TOOL_CALLS, finish_reason="tool_calls")]
    call = ToolCall(id="call_0", name="look", arguments="{}")
    said = (
        Message(role="user", content=(TextPart("see"), ImagePart("data:image/png;base64,AA=="))),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="7", tool_call_id="call_0"),
    )
    tools = (Tool(name="refund", description="Pay back", parameters={"type": "object"}),)
    done = await model.complete(Request(id="1", task="t", input="see", messages=said, tools=tools))
    assert done.tool_calls == (ToolCall(id="call_1", name="refund", arguments='{"id": 7}'),)
    assert (done.text, done.finish_reason) == ("", "tool_calls")
    sent = server.bodies[0]
    assert sent["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/png")
    assert sent["messages"][1]["tool_calls"][0]["function"] == {"name": "look", "arguments": "{}"}
    assert sent["messages"][2] == {"role": "tool", "content": "7", "tool_call_id": "call_0"}
    assert sent["tools"][0]["function"]["description"] == "Pay back"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"finish_reason": "length"}, "length"),
        ({"finish_reason": "content_filter"}, "content_filter"),
        ({"refusal": "I cannot.", "content": None}, "refusal"),
    ],
)
async def test_a_cut_or_refused_answer_is_told_apart(
    server: Server, model: OpenAIModel, changes: dict[str, Any], reason: str
) -> None:
    server.steps = [chat(**changes)]
    assert (await model.complete(asked())).finish_reason == reason


async def test_an_ending_that_nobody_knows_is_an_error(server: Server, model: OpenAIModel) -> None:
    server.steps = [chat(finish_reason="abort")]
    with pytest.raises(ModelError, match="ended with 'abort'"):
        await model.complete(asked())


async def test_usage_that_is_left_out_is_unknown(server: Server, model: OpenAIModel) -> None:
    server.steps = [chat(usage=None)]
    assert (await model.complete(asked())).usage == Usage()


async def test_a_refused_temperature_is_left_out_from_then_on(
    server: Server, model: OpenAIModel
) -> None:
    refusal = chat_error(
        "Unsupported value: 'temperature' does not support 0 with this model. Only the default "
        "(1) value is supported.",
        param="temperature",
        code="unsupported_value",
    )
    server.steps = [(400, refusal, {}), chat(), chat()]
    await model.complete(asked())
    await model.complete(asked())
    assert ["temperature" in body for body in server.bodies] == [True, False, False]


async def test_a_temperature_out_of_range_is_the_callers_error(
    server: Server, model: OpenAIModel
) -> None:
    refusal = chat_error("Invalid 'temperature': must be at most 2.", param="temperature")
    server.steps = [(400, refusal, {})]
    with pytest.raises(ModelError, match="at most 2"):
        await model.complete(asked(temperature=3.0))
    assert len(server.bodies) == 1


async def test_refused_logprobs_are_unknown_and_no_longer_offered(
    server: Server, model: OpenAIModel
) -> None:
    refusal = chat_error("You are not allowed to request logprobs from this model")
    server.steps = [(403, refusal, {}), chat()]
    assert model.capabilities.logprobs
    done = await model.complete(asked(logprobs=True, top_logprobs=5))
    assert done.logprobs is None
    assert not model.capabilities.logprobs
    assert not {"logprobs", "top_logprobs"} & server.bodies[1].keys()


async def test_a_server_that_wants_the_new_name_of_the_limit_gets_it(
    server: Server, model: OpenAIModel
) -> None:
    refusal = chat_error(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead.",
        param="max_tokens",
        code="unsupported_parameter",
    )
    server.steps = [(400, refusal, {}), chat()]
    await model.complete(asked(max_tokens=9))
    assert server.bodies[1]["max_completion_tokens"] == 9


async def test_a_stream_yields_text_and_ends_with_the_whole(
    server: Server, model: OpenAIModel
) -> None:
    server.steps = [sse(chat_stream(), done=True)]
    *texts, last = await all_of(model, asked())
    assert "".join(c.text for c in texts) == "card_arrival \N{SNOWMAN}"
    assert last.completion is not None
    assert last.completion.text == "card_arrival \N{SNOWMAN}"
    assert last.completion.usage == Usage(input_tokens=19, output_tokens=2)
    assert last.completion.first_token_s is not None
    assert last.completion.latency_s is not None
    assert last.completion.first_token_s <= last.completion.latency_s
    assert server.bodies[0]["stream_options"] == {"include_usage": True}


async def test_a_stream_carries_logprobs_and_joins_tool_calls(
    server: Server, model: OpenAIModel
) -> None:
    function = {"name": "refund", "arguments": ""}
    start = {"index": 0, "id": "call_1", "type": "function", "function": function}
    parts = [{"index": 0, "function": {"arguments": a}} for a in ('{"id"', ": 7}")]
    events = [
        chunk({"content": "ok"}, logprobs={"content": [token("ok", -0.1)], "refusal": None}),
        chunk({"tool_calls": [start]}),
        *(chunk({"tool_calls": [part]}) for part in parts),
        chunk({}, finish_reason="tool_calls"),
    ]
    server.steps = [sse(events, done=True)]
    *_, last = await all_of(model, asked(logprobs=True))
    assert last.completion is not None
    assert last.completion.tool_calls == (
        ToolCall(id="call_1", name="refund", arguments='{"id": 7}'),
    )
    assert last.completion.logprobs is not None
    assert [t.token for t in last.completion.logprobs] == ["ok"]


@pytest.mark.parametrize("kept", [0, 2, 4, 5])
async def test_a_stream_without_its_last_event_is_an_error(
    server: Server, model: OpenAIModel, kept: int
) -> None:
    server.steps = [sse(chat_stream()[:kept])]
    with pytest.raises(ModelError, match="was cut"):
        await all_of(model, asked())


async def test_a_stream_that_is_done_without_a_reason_is_an_error(
    server: Server, model: OpenAIModel
) -> None:
    server.steps = [sse(chat_stream()[:3], done=True)]
    with pytest.raises(ModelError, match="ended with None"):
        await all_of(model, asked())


async def test_a_connection_that_breaks_in_a_stream_is_an_error(
    server: Server, model: OpenAIModel
) -> None:
    from aiohttp import web

    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(sse(chat_stream()[:3]))
        assert request.transport is not None
        request.transport.abort()
        return response

    server.steps = [breaks]
    with pytest.raises(ModelError, match="was cut: the connection broke"):
        await all_of(model, asked())
    assert len(server.bodies) == 1


async def test_an_error_inside_a_stream_is_an_error(server: Server, model: OpenAIModel) -> None:
    failed = chat_error("Rate limit reached", type="rate_limit_exceeded")
    server.steps = [sse([*chat_stream()[:3], failed], done=True)]
    with pytest.raises(Overloaded, match="Rate limit reached"):
        await all_of(model, asked())


async def test_a_stream_that_the_caller_leaves_lets_the_next_call_through(
    server: Server, model: OpenAIModel
) -> None:
    server.steps = [sse(chat_stream(), done=True), chat()]
    pieces = model.stream(asked())
    first = ""
    while not first:  # how much of it a read brings is TCP's; the role alone has no text
        first = "".join((await anext(pieces)).texts)
    assert "card_arrival \N{SNOWMAN}".startswith(first)
    await pieces.aclose()
    assert (await model.complete(asked())).text == "card_arrival"


def test_the_digest_names_address_and_model_and_not_the_key() -> None:
    one = OpenAIModel("gpt-x", api_key=KEY)
    assert one.digest == OpenAIModel("gpt-x", base_url=DEFAULT_BASE + "/", api_key="other").digest
    assert one.digest != OpenAIModel("gpt-y", api_key=KEY).digest
    assert one.digest != OpenAIModel("gpt-x", base_url="http://localhost:1/v1", api_key=KEY).digest


def test_the_fixtures_are_what_the_vendors_own_types_read() -> None:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    told = {"content": [token("a", -0.1, ("a", -0.1))], "refusal": None}
    for body in (
        chat(),
        chat(logprobs=told),
        chat(content=None, refusal="I cannot."),
        chat(content=None, tool_calls=CHAT_TOOL_CALLS, finish_reason="tool_calls"),
    ):
        ChatCompletion.model_validate(body, strict=True)
    for event in chat_stream():
        ChatCompletionChunk.model_validate(event, strict=True)


def test_a_request_without_a_key_sends_no_header() -> None:
    model = OpenAIModel("m", base_url="http://localhost:1/v1", api_key="")
    assert b"authorization" not in model._peer._head.lower()
    assert msgspec.json.encode(model.capabilities)


async def test_why_it_ended_and_its_usage_are_told_as_they_come(
    server: Server, model: OpenAIModel
) -> None:
    server.steps = [sse(chat_stream(), done=True)]
    *pieces, last = await all_of(model, asked())
    assert last.completion is not None
    ends = [chunk.finish_reason for chunk in pieces if chunk.finish_reason]
    assert ends == [last.completion.finish_reason]
    assert [chunk.usage for chunk in pieces if chunk.usage] == [last.completion.usage]


async def test_what_came_before_a_broken_event_of_the_same_read_is_handed_on(
    server: Server, model: OpenAIModel
) -> None:
    server.steps = [sse([*chat_stream()[:2], "{"])]
    seen: list[str] = []

    async def collect() -> None:
        async for piece in model.stream(asked()):
            seen.append(piece.text)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(ModelError):
        await collect()
    assert "".join(seen)
