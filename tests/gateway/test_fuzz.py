"""Whatever bytes arrive, the gateway answers in its own words and never with a 500."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from gateway_fake_handler import FakeHandler
from hypothesis import given, settings
from hypothesis import strategies as st

from stepdown.adapters.gateway import GatewayApp
from stepdown.adapters.gateway.answers import safe_value

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
roles = st.sampled_from(["user", "system", "assistant", "tool"])
parts = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url", "refusal"])}, optional={
        "text": st.text(max_size=5) | plain, "image_url": st.just({"url": "x"}) | plain}),
    max_size=3,
)  # fmt: skip
messages = st.fixed_dictionaries(
    {"role": roles | plain, "content": st.text(max_size=9) | parts | plain},
    optional={"name": plain, "tool_calls": plain, "tool_call_id": plain},
)
nearly = st.fixed_dictionaries(
    {"model": st.just("intent") | plain, "messages": st.lists(messages, max_size=3) | plain},
    optional={
        name: st.none() | st.integers(0, 3) | st.booleans() | plain
        for name in (
            "max_tokens",
            "temperature",
            "tools",
            "stream",
            "stream_options",
            "metadata",
            "n",
            "stop",
            "seed",
            "tool_choice",
            "response_format",
            "logprobs",
            "top_logprobs",
            "system",
            "stop_sequences",
            "output_config",
            "thinking",
            "input",
            "encoding_format",
            "dimensions",
        )
    },
)
PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/embeddings")


def send(
    handler: Any, body: bytes, headers: list[tuple[bytes, bytes]], path: str = PATHS[0]
) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def keep(event: dict[str, Any]) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    asyncio.run(GatewayApp(handler, max_body_bytes=5000)(scope, receive, keep))
    body = b"".join(event["body"] for event in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


def check(status: int, headers: dict[bytes, bytes], body: bytes) -> None:
    assert status in {200, 400, 403, 404, 413}
    if headers[b"content-type"] == b"application/json":
        assert headers[b"content-length"] == str(len(body)).encode()
    assert all(b"\n" not in value and b"\r" not in value for value in headers.values())
    if headers[b"content-type"] == b"application/json":
        assert ("error" in json.loads(body)) == (status != 200)


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=300), path=st.sampled_from(PATHS))
def test_any_bytes_get_an_answer(body: bytes, path: str) -> None:
    check(*send(FakeHandler(), body, [], path))


@settings(max_examples=600, deadline=None)
@given(body=nearly, path=st.sampled_from(PATHS))
def test_anything_that_is_nearly_a_request_gets_an_answer(body: dict[str, Any], path: str) -> None:
    check(*send(FakeHandler(), json.dumps(body).encode(), [], path))


@settings(max_examples=200, deadline=None)
@given(
    names=st.sampled_from([b"x-request-id", b"x-stepdown-step", b"x-stepdown-", b"host", b"origin",
                           b"x-stepdown-boundary", b"x-stepdown-deadline-ms", b"x-api-key",
                           b"content-length", b"authorization"]),
    value=st.binary(max_size=40),
)  # fmt: skip
def test_any_header_gets_an_answer(names: bytes, value: bytes) -> None:
    body = {"model": "intent", "messages": [{"role": "user", "content": "x"}]}
    check(*send(FakeHandler(), json.dumps(body).encode(), [(names, value)]))


@given(st.text(max_size=600))
def test_a_header_value_is_one_line_of_latin_1_whatever_the_text(text: str) -> None:
    value = safe_value(text)
    assert len(value) <= 500
    assert all(byte >= 0x20 and byte not in range(0x7F, 0xA0) for byte in value)
