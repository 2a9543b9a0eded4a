"""A hosted model's server on loopback, in the documented formats of both wires.

Sources: OpenAI API reference, "Create chat completion", "The chat completion object", "The chat
completion chunk object" and "Error codes"; Anthropic API reference, "Create a Message", "Streaming
messages" and "Errors". Both read 2026-11. The test of the fixtures checks each answer with the
vendor's own types.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

KEY = "sk-test-0123456789abcdef"


def chat(**changes: Any) -> dict[str, Any]:
    """A chat completion object."""
    message = {"role": "assistant", "content": "card_arrival", "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {
        "prompt_tokens": 19,
        "completion_tokens": 10,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0},
    }
    whole = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_741_569_952,
        "model": "gpt-x-2026-10-01",
        "choices": [choice],
        "usage": usage,
        "service_tier": "default",
    }
    choice |= {k: changes.pop(k) for k in ("finish_reason", "logprobs") if k in changes}
    message |= {k: changes.pop(k) for k in ("content", "refusal", "tool_calls") if k in changes}
    return whole | changes


def chunk(delta: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A chat completion chunk object."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    choice |= {k: changes.pop(k) for k in ("finish_reason", "logprobs") if k in changes}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_741_569_952}
    return {**head, "model": "gpt-x-2026-10-01", "choices": [choice], "usage": None} | changes


def chat_stream() -> list[dict[str, Any]]:
    """The chunks of a whole streamed answer, usage last."""
    usage = {"prompt_tokens": 19, "completion_tokens": 2, "total_tokens": 21}
    return [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"content": "card_"}),
        chunk({"content": "arrival \N{SNOWMAN}"}),
        chunk({}, finish_reason="stop"),
        chunk({}, choices=[], usage=usage),
    ]


def token(text: str, logprob: float, *top: tuple[str, float]) -> dict[str, Any]:
    """One token of the logprobs object."""
    ranked = [{"token": t, "logprob": p, "bytes": list(t.encode())} for t, p in top]
    bare = {"token": text, "logprob": logprob, "bytes": list(text.encode())}
    return {**bare, "top_logprobs": ranked}


CHAT_TOOL_CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "refund", "arguments": '{"id": 7}'}}
]


def message(**changes: Any) -> dict[str, Any]:
    """An Anthropic message."""
    usage = {
        "input_tokens": 11,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 1000,
        "output_tokens": 6,
        "output_tokens_details": {"thinking_tokens": 2},
        "service_tier": "standard",
    }
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x-20261001",
        "content": [{"type": "text", "text": "card_arrival"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    } | changes


MESSAGE_TOOL_USE = [
    {"type": "thinking", "thinking": "Look it up.", "signature": "c2ln"},
    {"type": "text", "text": "I will."},
    {"type": "tool_use", "id": "toolu_1", "name": "refund", "input": {"id": 7}},
]


def message_stream() -> list[dict[str, Any]]:
    """The events of a whole streamed message with a tool use."""
    started = message(content=[], stop_reason=None)
    started["usage"] = started["usage"] | {"output_tokens": 1}
    use = {"type": "tool_use", "id": "toolu_1", "name": "refund", "input": {}}
    parts = [{"type": "input_json_delta", "partial_json": p} for p in ("", '{"id"', ": 7}")]
    texts = [{"type": "text_delta", "text": t} for t in ("I ", "will.")]
    return [
        {"type": "message_start", "message": started},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": text} for text in texts),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": use},
        *({"type": "content_block_delta", "index": 1, "delta": part} for part in parts),
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 15},
        },
        {"type": "message_stop"},
    ]


def chat_error(text: str, **changes: Any) -> dict[str, Any]:
    """OpenAI's error body."""
    bare = {"message": text, "type": "invalid_request_error", "param": None, "code": None}
    return {"error": bare | changes}


def message_error(kind: str, text: str) -> dict[str, Any]:
    """Anthropic's error body."""
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"}


def sse(events: list[dict[str, Any]], *, done: bool = False) -> bytes:
    """Events as both wires write them."""
    lines = [f"event: {e['type']}\n" if "type" in e else "" for e in events]
    pairs = zip(lines, events, strict=True)
    text = "".join(f"{line}data: {json.dumps(e, ensure_ascii=False)}\n\n" for line, e in pairs)
    return (text + ("data: [DONE]\n\n" if done else "")).encode()


class Server:
    """Answers from a list of steps, and keeps what it was asked.

    A step is a JSON value, bytes of an event stream, a function of the request, or a tuple of
    status, body and headers.
    """

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.urls: list[str] = []
        self.base = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        self.headers.append(dict(request.headers))
        self.paths.append(request.path)
        self.urls.append(request.raw_path)
        step = self.steps.pop(0)
        if callable(step):
            return await step(request)
        if isinstance(step, bytes):
            return await self._pieces(request, step)
        status, body, headers = step if isinstance(step, tuple) else (200, step, {})
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(
            status=status, text=text, headers=headers, content_type="application/json"
        )

    async def _pieces(self, request: web.Request, data: bytes) -> web.StreamResponse:
        """Send in pieces of seven bytes, so that events and characters are cut anywhere."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for start in range(0, len(data), 7):
            await response.write(data[start : start + 7])
        await response.write_eof()
        return response


class Naps:
    """A sleep that only notes how long it was asked for."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
