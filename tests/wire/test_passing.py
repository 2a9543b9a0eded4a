"""A request that is passed on as it is: on each wire everything that the caller asked for."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from wire_fake_vendor import KEY, Naps, Server, chat, chunk, message, sse

from stepdown.adapters.models.wire.anthropic import AnthropicModel
from stepdown.adapters.models.wire.openai import OpenAIModel
from stepdown.core.asked import Asked, Format, Tool, ToolChoice
from stepdown.core.passing import as_asked
from stepdown.core.request import ImagePart, Message, Request, TextPart, ToolPiece

SAID = (Message("user", (TextPart("look"), ImagePart("https://x.example/a.png", "low"))),)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FORMAT = Format("json_schema", SCHEMA, "thing", "A thing.", strict=False)


def passed_on(**asked: Any) -> Request:
    return as_asked(Request(id="1", task="t", input="look"), SAID, Asked(**asked))


def openai(server: Server, naps: Naps) -> OpenAIModel:
    return OpenAIModel("gpt-x", base_url=f"{server.base}/v1", api_key=KEY, sleep=naps)


def anthropic(server: Server, naps: Naps) -> AnthropicModel:
    return AnthropicModel("claude-x", base_url=server.base, api_key=KEY, sleep=naps)


async def body_of(model: Any, server: Server, request: Request) -> dict[str, Any]:
    server.steps = [chat() if isinstance(model, OpenAIModel) else message()]
    await model.complete(request)
    await model.aclose()
    return server.bodies[0]


async def test_the_openai_wire_carries_all_of_it(server: Server, naps: Naps) -> None:
    body = await body_of(
        openai(server, naps),
        server,
        passed_on(
            wire="openai",
            temperature=0.3,
            top_p=0.5,
            seed=7,
            stop=("END",),
            max_tokens=9,
            tools=(Tool("f", strict=True),),
            tool_choice=ToolChoice("one", "f"),
            parallel_tools=False,
            format=FORMAT,
            logprobs=True,
            top_logprobs=2,
            extra={"presence_penalty": Raw(b"0.5")},
        ),
    )
    named = {"name": "thing", "description": "A thing.", "schema": SCHEMA, "strict": False}
    function = {"name": "f", "parameters": {}, "strict": True}
    shown = {"url": "https://x.example/a.png", "detail": "low"}
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": shown}]
    assert body == {
        "model": "gpt-x",
        "messages": [{"role": "user", "content": parts}],
        "n": 1,
        "temperature": 0.3,
        "top_p": 0.5,
        "seed": 7,
        "stop": ["END"],
        "max_tokens": 9,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": named},
        "logprobs": True,
        "top_logprobs": 2,
        "presence_penalty": 0.5,
    }


async def test_what_the_caller_left_out_is_left_out(server: Server, naps: Naps) -> None:
    body = await body_of(openai(server, naps), server, passed_on(wire="openai"))
    assert set(body) == {"model", "messages", "n"}


async def test_the_anthropic_wire_carries_what_it_has_words_for(server: Server, naps: Naps) -> None:
    body = await body_of(
        anthropic(server, naps),
        server,
        passed_on(
            wire="anthropic",
            top_p=0.5,
            stop=("END",),
            max_tokens=9,
            tools=(Tool("f"),),
            tool_choice=ToolChoice("required"),
            parallel_tools=False,
            extra={"top_k": Raw(b"5")},
        ),
    )
    assert "temperature" not in body
    assert (body["top_p"], body["top_k"], body["stop_sequences"]) == (0.5, 5, ["END"])
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (ToolChoice("auto"), {"type": "auto"}),
        (ToolChoice("none"), {"type": "none"}),
        (ToolChoice("one", "f"), {"type": "tool", "name": "f"}),
    ],
)
async def test_each_choice_of_tools_has_a_word_on_the_anthropic_wire(
    server: Server, naps: Naps, choice: ToolChoice, said: dict[str, Any]
) -> None:
    request = passed_on(wire="openai", tools=(Tool("f"),), tool_choice=choice)
    body = await body_of(anthropic(server, naps), server, request)
    assert body["tool_choice"] == said


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
async def test_parameters_of_another_wire_stay_behind(
    server: Server, naps: Naps, wire: str
) -> None:
    model: Any = (anthropic if wire == "openai" else openai)(server, naps)
    body = await body_of(model, server, passed_on(wire=wire, extra={"odd": Raw(b"1")}))
    assert "odd" not in body


async def test_parallel_calls_stream_with_their_places(server: Server, naps: Naps) -> None:
    def call(index: int, **function: str) -> dict[str, Any]:
        named = {"id": f"c{index}", "type": "function"} if "name" in function else {}
        return {"index": index, **named, "function": function}

    events = [
        chunk({"tool_calls": [call(0, name="f", arguments="")]}),
        chunk({"tool_calls": [call(0, arguments='{"a"')]}),
        chunk({"tool_calls": [call(0, arguments=":1}"), call(1, name="g", arguments="{}")]}),
        chunk({}, finish_reason="tool_calls"),
    ]
    server.steps = [sse(events, done=True)]
    model = openai(server, naps)
    *chunks, _last = [c async for c in model.stream(passed_on(wire="openai"))]
    await model.aclose()
    assert [piece for c in chunks for piece in c.tools] == [
        ToolPiece(0, "c0", "f", ""),
        ToolPiece(0, arguments='{"a"'),
        ToolPiece(0, arguments=":1}"),
        ToolPiece(1, "c1", "g", "{}"),
    ]
