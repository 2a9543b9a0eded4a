"""Over the wire, with the official client: what callers send and what they get back."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from gateway_fake_handler import FakeHandler
from openai import OpenAI

from stepdown.adapters.gateway import GatewayApp, running
from stepdown.core.asked import Format, Tool, ToolChoice
from stepdown.core.caller_span import CallerSpan
from stepdown.core.request import ImagePart, Message, TextPart, ToolCall, Usage
from stepdown.core.trace import Attempt
from stepdown.errors import InputError, ModelError, Overloaded, TimedOut, Unavailable

ASK = [{"role": "user", "content": "where is my refund"}]
F = {"type": "function", "function": {"name": "f"}}
WRONG = {"type": "function", "function": {"name": "g", "parameters": {"type": "thing"}}}
ONE = {"type": "function", "function": {"name": "unknown"}}


def deep(levels: int) -> Any:
    """Return a schema that nests."""
    return {"type": "array", "items": deep(levels - 1)} if levels else {}


DEEP = {
    "type": "json_schema",
    "json_schema": {"name": "x", "schema": deep(50)},
}


@pytest.fixture(scope="module")
def only_handler() -> FakeHandler:
    return FakeHandler()


@pytest.fixture
def handler(only_handler: FakeHandler) -> FakeHandler:
    only_handler.forget()
    return only_handler


@pytest.fixture(scope="module")
def url(only_handler: FakeHandler) -> Iterator[str]:
    """One server for all tests of this file: its graceful stop takes a quarter of a second."""
    before = threading.active_count()
    settings = {"max_body_bytes": 100_000, "version": "1.2.3"}
    app = GatewayApp(only_handler, **settings, clock=lambda: 1763800000.9)
    with running(app) as base:
        yield base
    assert threading.active_count() == before


@pytest.fixture
def client(url: str, handler: FakeHandler) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as opened:
        yield opened


def raw(
    url: str, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any, bytes]:
    """Return status, headers and body of one request, sent without any client library."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, names)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def chat(url: str, body: object, **headers: str) -> tuple[int, Any, Any]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answered, said = raw(url, "POST", "/v1/chat/completions", text, **headers)
    return status, answered, json.loads(said)


def raw_chat(url: str, body: object) -> tuple[int, Any, bytes]:
    return raw(url, "POST", "/v1/chat/completions", json.dumps(body).encode())


def test_the_official_client_gets_an_answer(client: OpenAI) -> None:
    said = client.chat.completions.create(model="intent", messages=ASK)
    assert said.choices[0].message.content == "Intent: refund"
    assert said.choices[0].finish_reason == "stop"
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.total_tokens) == (7, 9)
    assert (said.created, said.model, said.object) == (1763800000, "intent", "chat.completion")


def test_unknown_usage_is_left_out_and_never_zero(client: OpenAI, handler: FakeHandler) -> None:
    handler.says = {"usage": Usage(input_tokens=7)}
    said = client.chat.completions.create(model="intent", messages=ASK)
    assert said.usage is None


def test_the_headers_say_who_answered_how_sure_and_what_it_cost(client: OpenAI) -> None:
    said = client.chat.completions.with_raw_response.create(model="intent", messages=ASK)
    told = {name: value for name, value in said.headers.items() if name.startswith("x-stepdown")}
    assert told == {
        "x-stepdown-trace": said.headers["x-request-id"],
        "x-stepdown-tier": "expert",
        "x-stepdown-reason": "accepted",
        "x-stepdown-escalated": "false",
        "x-stepdown-confidence": "0.97",
        "x-stepdown-cost-usd": "1.2e-06",
        "x-stepdown-guarantee": "certified",
    }


def test_the_headers_say_what_is_unknown_recorded_and_outside_the_guarantee(
    url: str, handler: FakeHandler
) -> None:
    call = {"trace_id": "t", "started_at": "now"}
    moved = (
        Attempt(id="1", number=1, tier="expert", **call),
        Attempt(id="2", number=2, tier="frontier", why="low_confidence", **call),
    )
    handler.says = {
        "attempts": moved,
        "answered_by": None,
        "cost_usd": None,
        "confidence": None,
        "guarantee": "withdrawn",
        "outside_guarantee": "deadline",
        "contract_matched": False,
        "recorded": True,
        "note": "a recorded answer\r\nset-cookie: no — „ja“ \x00",
    }
    _, told, _ = chat(url, {"model": "intent", "messages": ASK})
    assert told["x-stepdown-tier"] == "none"
    assert told["x-stepdown-escalated"] == "true"
    assert told["x-stepdown-escalations"] == "low_confidence"
    assert told["x-stepdown-cost-usd"] == told["x-stepdown-confidence"] == "unknown"
    assert told["x-stepdown-guarantee"] == "withdrawn"
    assert told["x-stepdown-outside-guarantee"] == "deadline"
    assert told["x-stepdown-contract-matched"] == "false"
    assert told["x-stepdown-recorded"] == "true"
    assert told["x-stepdown-note"] == "a recorded answer set-cookie: no ? ?ja? ?"
    assert "set-cookie" not in told


def test_a_stream_brings_the_whole_answer_and_its_usage(client: OpenAI) -> None:
    options = {"include_usage": True}
    with client.chat.completions.create(
        model="intent", messages=ASK, stream=True, stream_options=options
    ) as events:
        chunks = list(events)
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == "Intent: refund"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 9
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert len({c.id for c in chunks}) == 1


def test_a_stream_without_usage_asked_or_known_has_none(
    client: OpenAI, handler: FakeHandler
) -> None:
    for options in ({}, {"include_usage": True}):
        with client.chat.completions.create(
            model="intent", messages=ASK, stream=True, stream_options=options
        ) as events:
            chunks = list(events)
        assert (
            bool(options) == any(c.usage for c in chunks) == (handler.says == {} and bool(options))
        )
    handler.says = {"usage": Usage()}
    with client.chat.completions.create(
        model="intent", messages=ASK, stream=True, stream_options={"include_usage": True}
    ) as events:
        assert all(c.usage is None and c.choices for c in events)


def test_tool_calls_come_back_whole_and_in_a_stream(client: OpenAI, handler: FakeHandler) -> None:
    call = ToolCall(id="c1", name="lookup", arguments='{"order": 7}')
    handler.says = {"text": "", "tool_calls": (call,), "finish_reason": "tool_calls"}
    said = client.chat.completions.create(model="intent", messages=ASK).choices[0]
    assert said.message.tool_calls is not None
    assert said.message.tool_calls[0].function.arguments == '{"order": 7}'
    with client.chat.completions.stream(model="intent", messages=ASK) as events:
        final = events.get_final_completion().choices[0]
    assert final.message.tool_calls is not None
    assert final.message.tool_calls[0].function.name == "lookup"
    assert final.finish_reason == "tool_calls"


def test_a_call_carries_everything_the_caller_said(client: OpenAI, handler: FakeHandler) -> None:
    parts = [
        {"type": "text", "text": "read this"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
    ]
    function = {"name": "lookup", "arguments": "{}"}
    client.chat.completions.create(
        model="draft",
        messages=[
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": parts},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": function}],
            },
            {"role": "tool", "content": "42", "tool_call_id": "c"},
        ],
        max_completion_tokens=50,
        temperature=0.5,
        tools=[
            {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}
        ],
        metadata={"step": "from metadata", "trace_id": "t-1"},
        user="somebody",
        extra_body={"something_new": [1, 2]},
        extra_headers={
            "x-request-id": "req:7.A_b-c",
            "x-stepdown-message-id": "m-7",
            "x-stepdown-step": "from a header",
            "x-stepdown-customer-facing": "true",
        },
    )
    (call,) = handler.calls
    asked = call.asked
    assert (call.id, call.model, asked.max_tokens, asked.temperature) == (
        "req:7.A_b-c",
        "draft",
        50,
        0.5,
    )
    assert call.messages == (
        Message("system", "Be kind."),
        Message("user", (TextPart("read this"), ImagePart("data:image/png;base64,AA==", "low"))),
        Message("assistant", None, tool_calls=(ToolCall("c", "lookup", "{}"),)),
        Message("tool", "42", tool_call_id="c"),
    )
    assert asked.tools == (Tool("lookup", "", {"type": "object"}),)
    assert call.metadata == {
        "message_id": "m-7",
        "customer_facing": "true",
        "step": "from metadata",
        "trace_id": "t-1",
    }


def test_fields_that_change_nothing_are_named_in_a_header(url: str, handler: FakeHandler) -> None:
    handler.says = {"ignored": ("seed", "user")}
    body = {"model": "intent", "messages": ASK, "seed": 7, "user": "me", "store": True}
    for streamed in (False, True):
        _, told, _ = raw_chat(url, {**body, "stream": streamed})
        assert told["x-stepdown-ignored"] == "seed, user, store"


def test_what_the_gateway_does_not_know_reaches_tiers_of_the_same_wire(
    client: OpenAI, handler: FakeHandler
) -> None:
    client.chat.completions.create(
        model="draft",
        messages=ASK,
        presence_penalty=0.5,
        logit_bias={"7": 1},
        extra_body={"top_k": 3, "nothing": None},
    )
    (call,) = handler.calls
    assert (call.asked.wire, {k: json.loads(bytes(v)) for k, v in call.asked.extra.items()}) == (
        "openai",
        {"presence_penalty": 0.5, "logit_bias": {"7": 1}, "top_k": 3},
    )


def test_everything_asked_for_besides_the_messages_is_carried(
    client: OpenAI, handler: FakeHandler
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    named = {"name": "thing", "schema": schema, "strict": True}
    client.chat.completions.create(
        model="draft",
        messages=ASK,
        top_p=0.5,
        seed=7,
        stop="END",
        n=2,
        logprobs=True,
        top_logprobs=3,
        parallel_tool_calls=False,
        tools=[{"type": "function", "function": {"name": "f", "strict": True}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        response_format={"type": "json_schema", "json_schema": named},
    )
    asked = handler.calls[0].asked
    assert (asked.top_p, asked.seed, asked.stop, asked.n) == (0.5, 7, ("END",), 2)
    assert (asked.logprobs, asked.top_logprobs, asked.parallel_tools) == (True, 3, False)
    assert asked.tools == (Tool("f", strict=True),)
    assert asked.tool_choice == ToolChoice("one", "f")
    assert asked.format == Format("json_schema", schema, "thing", strict=True)


def test_a_choice_among_allowed_tools_leaves_the_others_out(url: str, handler: FakeHandler) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in "ab"]
    some = {"mode": "required", "tools": [{"type": "function", "function": {"name": "b"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": some}
    chat(url, {"model": "draft", "messages": ASK, "tools": tools, "tool_choice": choice})
    asked = handler.calls[0].asked
    assert (asked.tools, asked.tool_choice) == ((Tool("b"),), ToolChoice("required"))


@pytest.mark.parametrize("asked", ["", "a b", "x" * 129, "é", "../../etc", "a;b"])
def test_an_unsafe_request_id_is_replaced(url: str, handler: FakeHandler, asked: str) -> None:
    _, told, _ = chat(url, {"model": "intent", "messages": ASK}, x_request_id=asked)
    assert told["x-request-id"] == handler.calls[0].id
    assert told["x-request-id"].startswith("req-")


def test_an_unknown_model_is_404_with_the_nearest_name_and_all_of_them(
    client: OpenAI, handler: FakeHandler
) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="intents", messages=ASK)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert "Did you mean 'intent'? Known: intent, draft, tier:frontier." in caught.value.message
    assert handler.calls == []


def test_the_models_are_listed_and_found_one_by_one(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["intent", "draft", "tier:frontier"]
    assert client.models.retrieve("tier:frontier").id == "tier:frontier"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"", None),
        (b"[1]", None),
        (b"[" * 50_000, None),
        (b'{"model": "\xff", "messages": []}', None),
        ({"messages": ASK}, "model"),
        ({"model": "intent"}, "messages"),
        ({"model": "intent", "messages": []}, "messages"),
        ({"model": 7, "messages": ASK}, "model"),
        ({"model": "intent", "messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"model": "intent", "messages": [{"role": "boss", "content": ""}]}, "messages[0].role"),
        ({"model": "intent", "messages": [{"content": ""}]}, "messages[0].role"),
        (
            {"model": "intent", "messages": [{"role": "user", "content": [{"type": "smell"}]}]},
            "messages[0].content[0].type",
        ),
        ({"model": "intent", "messages": ASK, "n": 9}, "n"),
        ({"model": "intent", "messages": ASK, "temperature": 3}, "temperature"),
        ({"model": "intent", "messages": ASK, "max_tokens": 0}, "max_tokens"),
        ({"model": "intent", "messages": ASK, "top_logprobs": 2}, "top_logprobs"),
        ({"model": "intent", "messages": ASK, "stop": ["a"] * 5}, "stop"),
        ({"model": "intent", "messages": ASK, "functions": []}, "functions"),
        ({"model": "intent", "messages": ASK, "audio": {"voice": "x"}}, "audio"),
        ({"model": "intent", "messages": ASK, "tool_choice": "auto"}, "tool_choice"),
        ({"model": "intent", "messages": [{"role": "user"}] * 2049}, "messages"),
        ({"model": "intent", "messages": ASK, "tools": [F] * 129}, "tools"),
        ({"model": "intent", "messages": ASK, "tools": [F, F]}, "tools[1].function.parameters"),
        ({"model": "intent", "messages": ASK, "tools": [WRONG]}, "tools[0].function.parameters"),
        (
            {"model": "intent", "messages": ASK, "tools": [F], "tool_choice": ONE},
            "tool_choice",
        ),
        (
            {"model": "intent", "messages": ASK, "response_format": {"type": "xml"}},
            "response_format.type",
        ),
        (
            {"model": "intent", "messages": ASK, "response_format": DEEP},
            "response_format.json_schema.schema",
        ),
        ({"model": "intent", "messages": ASK, "metadata": {"step": 1}}, "metadata[...]"),
    ],
)
def test_a_wrong_body_is_400_and_names_the_path(
    url: str, handler: FakeHandler, body: Any, param: str | None
) -> None:
    status, _, said = chat(url, body)
    assert status == 400
    assert said["error"]["type"] == "invalid_request_error"
    assert said["error"]["param"] == param
    assert said["error"]["message"]
    assert handler.calls == []


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/embeddings"])
def test_an_empty_body_is_told_that_it_is_empty(url: str, path: str) -> None:
    status, _, body = raw(url, "POST", path, b"")
    assert status == 400
    assert json.loads(body)["error"]["message"] == "the body is empty: send a JSON object."


def test_a_body_that_is_too_large_is_413_whether_it_says_so_or_not(
    url: str, handler: FakeHandler
) -> None:
    body = json.dumps({"model": "intent", "messages": ASK, "pad": "x" * 200_000}).encode()
    status, _, said = chat(url, body)
    assert (status, said["error"]["code"]) == (413, "body_too_large")
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    pieces = iter([body[:90_000], body[90_000:180_000], body[180_000:]])
    connection.request("POST", "/v1/chat/completions", pieces, encode_chunked=True,
                       headers={"transfer-encoding": "chunked"})  # fmt: skip
    assert connection.getresponse().status == 413
    connection.close()
    assert handler.calls == []


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Unavailable("no recording of this text."), 422, "unavailable"),
        (Overloaded("the model is full."), 429, "overloaded"),
        (TimedOut("no answer within 2 s."), 504, "deadline"),
        (ModelError("the provider failed."), 502, "provider_error"),
        (InputError("the text is empty.", "Send one."), 400, "invalid_request_error"),
    ],
)
def test_each_error_of_a_tier_has_its_status(
    client: OpenAI, handler: FakeHandler, error: Exception, status: int, kind: str
) -> None:
    handler.says = error
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="intent", messages=ASK)
    assert (caught.value.status_code, caught.value.type) == (status, kind)
    assert str(error) in caught.value.message
    assert caught.value.response.headers["x-request-id"]


def test_a_full_tier_says_when_to_come_back_and_a_missing_one_says_not_to(
    url: str, handler: FakeHandler, client: OpenAI
) -> None:
    handler.says = Overloaded("full.")
    assert chat(url, {"model": "intent", "messages": ASK})[1]["retry-after"] == "1"
    handler.says = Unavailable("gone.")
    handler.calls.clear()
    with pytest.raises(openai.UnprocessableEntityError):
        client.with_options(max_retries=3).chat.completions.create(model="intent", messages=ASK)
    assert len(handler.calls) == 1


def test_an_unforeseen_error_is_500_without_internals_and_is_logged(
    url: str, handler: FakeHandler, caplog: pytest.LogCaptureFixture
) -> None:
    handler.says = KeyError("secret detail")
    status, told, said = chat(url, {"model": "intent", "messages": ASK})
    assert status == 500
    assert "secret" not in json.dumps(said)
    assert told["x-request-id"] in said["error"]["message"]
    assert told["x-request-id"] in caplog.text
    assert "secret detail" in caplog.text


def test_the_front_page_says_what_this_is_and_health_says_what_is_promised(url: str) -> None:
    status, _, text = raw(url, "GET", "/")
    assert status == 200
    assert b"gateway of Stepdown 1.2.3" in text
    status, _, body = raw(url, "GET", "/healthz")
    state = {"status": "ok", "version": "1.2.3", "guarantees": {"intent": {"state": "certified"}}}
    assert (status, json.loads(body)) == (200, state)
    assert raw(url, "HEAD", "/healthz")[::2] == (200, b"")


def test_an_unknown_path_is_404_and_another_method_is_405(url: str) -> None:
    status, _, body = raw(url, "GET", "/v2/chat")
    assert (status, json.loads(body)["error"]["code"]) == (404, "unknown_path")
    status, told, body = raw(url, "GET", "/v1/chat/completions")
    assert (status, told["allow"]) == (405, "POST")
    assert json.loads(body)["error"]["code"] == "method_not_allowed"
    assert raw(url, "POST", "/v1/models", b"{}")[0] == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example:80"},
        {"Host": "localhost.evil.example"},
        {"Host": "[::"},
    ],
)
def test_without_a_key_another_sites_page_cannot_spend_money(
    url: str, handler: FakeHandler, headers: dict[str, str]
) -> None:
    status, _, said = chat(url, {"model": "intent", "messages": ASK}, **headers)
    assert (status, said["error"]["code"]) == (403, "not_local")
    assert handler.calls == []


def test_the_callers_traceparent_is_carried_and_a_broken_one_is_ignored(
    url: str, handler: FakeHandler
) -> None:
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    ask = {"model": "intent", "messages": ASK}
    for said in (f"00-{trace}-{span}-01", f"00-{trace}-{span}"):
        assert chat(url, ask, Traceparent=said)[0] == 200
    joined, alone = [call.hints.caller_span for call in handler.calls]
    assert joined == CallerSpan(trace, span, sampled=True)
    assert alone is None


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8080"])
def test_without_a_key_every_name_of_this_machine_is_answered(url: str, host: str) -> None:
    assert chat(url, {"model": "intent", "messages": ASK}, Host=host)[0] == 200


def test_with_a_key_only_its_holder_is_answered(handler: FakeHandler) -> None:
    with running(GatewayApp(handler, api_key="right")) as url:
        ask = {"model": "intent", "messages": ASK}
        for key in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "right"}):
            status, _, said = chat(url, ask, **key)
            assert (status, said["error"]["code"]) == (401, "invalid_api_key")
        assert handler.calls == []
        assert chat(url, ask, Authorization="Bearer right", Host="gateway.internal")[0] == 200
        for scheme in ("bearer", "BEARER", "Bearer "):
            assert chat(url, ask, Authorization=f"{scheme} right")[0] == 200
        for wrong in ("Basic right", "Bearer RIGHT", "Bearer", "Bearerright"):
            assert chat(url, ask, Authorization=wrong)[0] == 401
        assert raw(url, "GET", "/v1/models")[0] == 401
        assert json.loads(raw(url, "GET", "/healthz")[2]) == {"status": "ok"}
        assert raw(url, "GET", "/")[0] == 200
