"""Streams, tools, structured output and hanging up, with the official OpenAI client."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from gateway_fake_handler import FakeHandler
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from stepdown.adapters.gateway import GatewayApp, running
from stepdown.core.call import Choice
from stepdown.core.request import Chunk, TokenLogprob, ToolCall, ToolPiece, Usage
from stepdown.errors import ModelError, Overloaded, TimedOut

ASK: Any = [{"role": "user", "content": "where is my refund"}]
TOOL: Any = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
PATIENCE_S = 0.05


@pytest.fixture(scope="module")
def only_handler() -> FakeHandler:
    return FakeHandler()


@pytest.fixture
def handler(only_handler: FakeHandler) -> FakeHandler:
    only_handler.forget()
    return only_handler


@pytest.fixture(scope="module")
def url(only_handler: FakeHandler) -> Iterator[str]:
    with running(GatewayApp(only_handler, patience_s=PATIENCE_S)) as base:
        yield base


@pytest.fixture
def client(url: str, handler: FakeHandler) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as opened:
        yield opened


@pytest.fixture
async def aclient(url: str, handler: FakeHandler) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as opened:
        yield opened


def streamed(client: OpenAI, **asked: Any) -> list[Any]:
    with client.chat.completions.create(
        model="intent", messages=ASK, stream=True, **asked
    ) as events:
        return list(events)


def text_of(chunks: list[Any]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_pieces_arrive_as_they_are_written_and_usage_comes_last(
    client: OpenAI, handler: FakeHandler
) -> None:
    handler.pieces = (Chunk(text="Dear"), Chunk(text=" all"))
    chunks = streamed(client, stream_options={"include_usage": True})
    texts = [c.choices[0].delta.content for c in chunks if c.choices]
    assert texts == ["", "Dear", " all", None]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices] == [None, None, None, "stop"]
    assert chunks[-1].choices == []
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (7, 2)


def test_the_end_is_told_as_it_comes_and_once(client: OpenAI, handler: FakeHandler) -> None:
    counted = Usage(input_tokens=7, output_tokens=2)
    texts = (Chunk(text="Dear all", texts=("Dear", " all")), Chunk(text="!", finish_reason="stop"))
    handler.pieces = (*texts, Chunk(usage=counted))
    chunks = streamed(client, stream_options={"include_usage": True})
    said = [c.choices[0].delta.content for c in chunks if c.choices]
    assert said == ["", "Dear", " all", "!", None]
    ends = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert ends == [None, None, None, None, "stop"]
    assert [c.usage is None for c in chunks] == [True] * 5 + [False]


def test_a_usage_that_changes_after_it_was_told_is_told_again(
    client: OpenAI, handler: FakeHandler
) -> None:
    early = Usage(input_tokens=7, output_tokens=1)
    handler.pieces = (Chunk(text="Dear"), Chunk(finish_reason="stop"), Chunk(usage=early))
    chunks = streamed(client, stream_options={"include_usage": True})
    assert [c.usage.completion_tokens for c in chunks if c.usage] == [1, 2]


def test_calls_without_arguments_get_empty_ones_before_an_early_end(
    client: OpenAI, handler: FakeHandler
) -> None:
    call = Chunk(tools=(ToolPiece(0, "c0", "look_up"),))
    handler.pieces = (call, Chunk(finish_reason="tool_calls"))
    handler.says = {"finish_reason": "tool_calls"}
    with client.chat.completions.stream(model="intent", messages=ASK, tools=[TOOL]) as events:
        final = events.get_final_completion().choices[0]
    assert [c.function.arguments for c in final.message.tool_calls or ()] == ["{}"]
    assert final.finish_reason == "tool_calls"


def test_what_is_not_known_at_the_first_byte_says_pending(
    client: OpenAI, handler: FakeHandler
) -> None:
    handler.pieces = (Chunk(text="Dear"),)
    with client.chat.completions.with_streaming_response.create(
        model="intent", messages=ASK, stream=True
    ) as answer:
        assert answer.headers["x-stepdown-cost-usd"] == "pending"
        assert answer.headers["x-stepdown-tier"] == "expert"


def test_parallel_tool_calls_stream_with_their_places(client: OpenAI, handler: FakeHandler) -> None:
    handler.pieces = (
        Chunk(tools=(ToolPiece(0, "c0", "look_up"),)),
        Chunk(tools=(ToolPiece(0, arguments='{"order"'),)),
        Chunk(tools=(ToolPiece(0, arguments=": 7}"), ToolPiece(1, "c1", "look_up"))),
    )
    handler.says = {"finish_reason": "tool_calls"}
    with client.chat.completions.stream(model="intent", messages=ASK, tools=[TOOL]) as events:
        final = events.get_final_completion().choices[0]
    assert final.message.tool_calls is not None
    assert [(c.id, c.function.arguments) for c in final.message.tool_calls] == [
        ("c0", '{"order": 7}'),
        ("c1", "{}"),
    ]
    assert final.finish_reason == "tool_calls"


def test_parallel_tool_calls_come_whole_too(client: OpenAI, handler: FakeHandler) -> None:
    calls = tuple(ToolCall(f"c{n}", "look_up", "{}") for n in range(2))
    handler.says = {"text": "", "tool_calls": calls, "finish_reason": "tool_calls"}
    said = client.chat.completions.create(model="intent", messages=ASK, tools=[TOOL]).choices[0]
    assert said.message.content is None
    assert [c.id for c in said.message.tool_calls or ()] == ["c0", "c1"]


def test_log_probabilities_come_whole_and_in_pieces(client: OpenAI, handler: FakeHandler) -> None:
    odds = (TokenLogprob("é", -0.1, (("é", -0.1), ("e", -2.5))),)
    handler.says = {"text": "é", "logprobs": odds}
    said = client.chat.completions.create(
        model="intent", messages=ASK, logprobs=True, top_logprobs=2
    ).choices[0]
    assert said.logprobs is not None
    assert said.logprobs.content is not None
    (token,) = said.logprobs.content
    assert (token.token, token.logprob, token.bytes) == ("é", -0.1, list("é".encode()))
    assert [(t.token, t.logprob) for t in token.top_logprobs] == [("é", -0.1), ("e", -2.5)]
    handler.pieces = (Chunk(text="é", logprobs=odds),)
    chunks = streamed(client, logprobs=True)
    assert [c.choices[0].logprobs.content[0].token for c in chunks if c.choices[0].logprobs] == [
        "é"
    ]


def test_several_answers_come_whole_and_as_a_stream(client: OpenAI, handler: FakeHandler) -> None:
    handler.says = {"more": (Choice(text="two"), Choice(text="three", finish_reason="length"))}
    said = client.chat.completions.create(model="intent", messages=ASK, n=3)
    assert [(c.index, c.message.content) for c in said.choices] == [
        (0, "Intent: refund"),
        (1, "two"),
        (2, "three"),
    ]
    assert handler.calls[0].asked.n == 3
    chunks = streamed(client, n=3)
    texts = {0: "", 1: "", 2: ""}
    for chunk in chunks:
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == {0: "Intent: refund", 1: "two", 2: "three"}
    ends = [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason]
    assert ends == ["stop", "stop", "length"]


class Refund(BaseModel):
    order: int


def test_the_helper_for_structured_output_parses(client: OpenAI, handler: FakeHandler) -> None:
    handler.says = {"text": '{"order":7}'}
    said = client.chat.completions.parse(model="intent", messages=ASK, response_format=Refund)
    assert said.choices[0].message.parsed == Refund(order=7)
    shape = handler.calls[0].asked.format
    assert shape is not None
    assert (shape.kind, shape.name, shape.strict) == ("json_schema", "Refund", True)
    with client.chat.completions.stream(
        model="intent", messages=ASK, response_format=Refund
    ) as events:
        assert events.get_final_completion().choices[0].message.parsed == Refund(order=7)


def test_a_refusal_is_told_as_one(client: OpenAI, handler: FakeHandler) -> None:
    handler.says = {"text": "I will not.", "finish_reason": "refusal"}
    said = client.chat.completions.create(model="intent", messages=ASK).choices[0]
    assert (said.message.refusal, said.message.content) == ("I will not.", None)
    assert said.finish_reason == "stop"


def test_a_stream_that_breaks_raises_and_never_ends_cleanly(
    client: OpenAI, handler: FakeHandler
) -> None:
    handler.pieces = (Chunk(text="Dear"),)
    for error in (ModelError("reset by peer"), RuntimeError("inside")):
        handler.breaks = error
        heard = []
        with (
            pytest.raises(openai.APIError) as caught,
            client.chat.completions.create(model="intent", messages=ASK, stream=True) as events,
        ):
            heard += list(events)
        assert "inside" not in caught.value.message
        assert ("reset by peer" in caught.value.message) == isinstance(error, ModelError)


def test_a_broken_stream_has_no_done(url: str, handler: FakeHandler) -> None:
    handler.pieces, handler.breaks = (Chunk(text="Dear"),), TimedOut("late.")
    said = raw_stream(url)
    assert b"[DONE]" not in said
    last = json.loads(said.strip().split(b"data: ")[-1])
    assert (last["error"]["code"], last["error"]["message"]) == ("deadline", "late.")


def raw_stream(url: str) -> bytes:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    body = json.dumps({"model": "intent", "messages": ASK, "stream": True})
    connection.request("POST", "/v1/chat/completions", body)
    try:
        return connection.getresponse().read()
    finally:
        connection.close()


def test_an_error_before_the_first_byte_has_its_own_status(
    client: OpenAI, handler: FakeHandler
) -> None:
    handler.says = Overloaded("full.").noting(retry_after_s=2.5)
    with pytest.raises(openai.RateLimitError) as caught:
        streamed(client)
    assert caught.value.response.headers["retry-after"] == "3"


def test_a_caller_who_waits_long_is_sent_comments_and_then_the_answer(
    url: str, handler: FakeHandler, client: OpenAI
) -> None:
    handler.delay_s = PATIENCE_S * 4
    said = raw_stream(url)
    assert said.count(b": waiting\n\n") >= 2
    assert b"Intent: refund" in said
    assert said.endswith(b"data: [DONE]\n\n")
    assert text_of(streamed(client)) == "Intent: refund"


def test_an_error_after_a_long_wait_is_an_event(handler: FakeHandler, client: OpenAI) -> None:
    handler.delay_s, handler.breaks = PATIENCE_S * 4, ModelError("broken at last")
    with pytest.raises(openai.APIError, match="broken at last"):
        streamed(client)


def test_a_client_that_times_out_stops_the_work(handler: FakeHandler, client: OpenAI) -> None:
    handler.hangs = True
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).chat.completions.create(model="intent", messages=ASK)
    assert handler.cancelled.wait(10)


async def test_the_async_client_answers_streams_and_raises(
    aclient: AsyncOpenAI, handler: FakeHandler
) -> None:
    said = await aclient.chat.completions.create(model="intent", messages=ASK)
    assert said.choices[0].message.content == "Intent: refund"
    handler.pieces = (Chunk(text="Dear"), Chunk(text=" all"))
    events = await aclient.chat.completions.create(model="intent", messages=ASK, stream=True)
    assert text_of([chunk async for chunk in events]) == "Dear all"
    handler.says = TimedOut("late.")
    with pytest.raises(openai.InternalServerError):
        await aclient.chat.completions.create(model="intent", messages=ASK)


async def test_a_task_that_is_cancelled_at_the_client_is_cancelled_at_the_tier(
    aclient: AsyncOpenAI, handler: FakeHandler
) -> None:
    handler.hangs = True
    asking = asyncio.ensure_future(aclient.chat.completions.create(model="intent", messages=ASK))
    await asyncio.to_thread(handler.asked.wait, 10)
    asking.cancel()
    assert await handler.was_cancelled()


async def test_a_stream_that_is_closed_early_is_cancelled_at_the_tier(
    aclient: AsyncOpenAI, handler: FakeHandler
) -> None:
    handler.pieces, handler.hangs = (Chunk(text="Dear"),), True
    events = await aclient.chat.completions.create(model="intent", messages=ASK, stream=True)
    async for chunk in events:
        if chunk.choices[0].delta.content:
            break
    await events.close()
    assert await handler.was_cancelled()


def test_usage_unknown_at_the_end_is_left_out(client: OpenAI, handler: FakeHandler) -> None:
    handler.pieces, handler.says = (Chunk(text="a"),), {"usage": Usage()}
    chunks = streamed(client, stream_options={"include_usage": True})
    assert all(c.usage is None and c.choices for c in chunks)


def test_many_streams_at_once_are_not_mixed(url: str, handler: FakeHandler) -> None:
    handler.pieces = tuple(Chunk(text=str(n % 10)) for n in range(50))
    heard: list[bytes] = []
    threads = [threading.Thread(target=lambda: heard.append(raw_stream(url))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(heard) == 8
    assert all(said.count(b'"content":"7"') == 5 for said in heard)
