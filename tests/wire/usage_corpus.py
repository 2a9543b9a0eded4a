"""Usage as providers write it, whole and streamed: cached, written, reasoning and tool tokens.

Written by us after the documents that each case names, all read 2026-11; the numbers are ours. A
case holds the body of a whole answer, the events of the same answer streamed, a price, and what
it costs to the last token, worked out by hand in `usd`.
"""

from __future__ import annotations

import json
from typing import Any

from bedrock_peer import converse, converse_stream, frame
from msgspec import Struct

from stepdown.core.request import Usage
from stepdown.core.tier import Price

# Dollars a million tokens. No two are equal, so that no count can stand in for another.
PRICE = Price(
    input_usd_per_mtok=3.0,
    output_usd_per_mtok=15.0,
    cached_usd_per_mtok=0.3,
    cache_write_usd_per_mtok=3.75,
)


class Case(Struct, frozen=True, kw_only=True):
    name: str
    wire: str  # openai, anthropic, bedrock
    document: str
    whole: dict[str, Any]
    stream: bytes
    usage: Usage
    micro_usd: float | None  # millionths of a dollar, by hand; None: not known


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def chat(usage: dict[str, Any] | None, **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "Yes"} | message
    choice = {
        "index": 0,
        "message": said,
        "finish_reason": "tool_calls" if "tool_calls" in said else "stop",
    }
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return body | ({} if usage is None else {"usage": usage})


def chat_stream(usage: dict[str, Any] | None, *, calls: bool = False, at: str = "last") -> bytes:
    """`at` says where the usage comes: in a `last` chunk without choices, `with` the finish reason,
    or running in `every` chunk.
    """
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "" if calls else "Yes"}]
    if calls:
        function = CALL["function"]
        deltas.append(
            {"tool_calls": [{**CALL, "index": 0, "function": {**function, "arguments": ""}}]}
        )
        pieces = ('{"a"', ": 1}")
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": p}}]} for p in pieces]
    events = [
        {**head, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas
    ]
    end = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}
    events.append({**head, "choices": [end]})
    if usage is not None and at == "last":
        events.append({**head, "choices": [], "usage": usage})
    elif usage is not None and at == "with":
        events[-1] = {**events[-1], "usage": usage}
    elif usage is not None:
        low = usage | {"completion_tokens": 1, "total_tokens": usage["prompt_tokens"] + 1}
        events = [{**one, "usage": low} for one in events[:-1]] + [{**events[-1], "usage": usage}]
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return (text + "data: [DONE]\n\n").encode()


def message(usage: dict[str, Any]) -> dict[str, Any]:
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "Yes"}, use],
        "stop_reason": "tool_use", "stop_sequence": None, "usage": usage,
    }  # fmt: skip


def message_stream(start: dict[str, Any], delta: dict[str, Any]) -> bytes:
    begun = message(start) | {"content": [], "stop_reason": None}
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Yes"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": use},
        {"type": "content_block_delta", "index": 1,
         "delta": {"type": "input_json_delta", "partial_json": '{"a": 1}'}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": delta},
        {"type": "message_stop"},
    ]  # fmt: skip
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()


OPENAI = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 192,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
READ_OPENAI = Usage(input_tokens=2006, output_tokens=300, cached_tokens=1920, reasoning_tokens=192)
# 86 fresh x 3 + 1920 cached x 0.3 + 300 x 15: reasoning is inside the 300
OPENAI_USD = 86 * 3 + 1920 * 0.3 + 300 * 15
BARE = {"prompt_tokens": 57, "completion_tokens": 17, "total_tokens": 74}
READ_BARE = Usage(input_tokens=57, output_tokens=17)
BARE_USD = 57 * 3 + 17 * 15
ANTHROPIC = {
    "input_tokens": 50,
    "cache_creation_input_tokens": 248,
    "cache_creation": {"ephemeral_5m_input_tokens": 248, "ephemeral_1h_input_tokens": 0},
    "cache_read_input_tokens": 1800,
    "output_tokens": 503,
    "output_tokens_details": {"thinking_tokens": 400},
    "service_tier": "standard",
}
READ_ANTHROPIC = Usage(
    input_tokens=2098,
    output_tokens=503,
    cached_tokens=1800,
    cache_write_tokens=248,
    reasoning_tokens=400,
)
# input_tokens leaves out both kinds of cached tokens on this wire
ANTHROPIC_USD = 50 * 3 + 1800 * 0.3 + 248 * 3.75 + 503 * 15
STARTED = ANTHROPIC | {"output_tokens": 4, "output_tokens_details": None}
BEDROCK_USD = 11 * 3 + 1000 * 0.3 + 100 * 3.75 + 15 * 15

CASES = (
    Case(
        name="OpenAI, cached and reasoning tokens",
        wire="openai",
        document="OpenAI API reference, 'The chat completion object' and 'The chat completion "
        "chunk object' (stream_options.include_usage)",
        whole=chat(OPENAI),
        stream=chat_stream(OPENAI),
        usage=READ_OPENAI,
        micro_usd=OPENAI_USD,
    ),
    Case(
        name="OpenAI, a tool call",
        wire="openai",
        document="OpenAI guide, 'Function calling', section 'Streaming'",
        whole=chat(OPENAI, content=None, tool_calls=[CALL]),
        stream=chat_stream(OPENAI, calls=True),
        usage=READ_OPENAI,
        micro_usd=OPENAI_USD,
    ),
    Case(
        name="vLLM, details off",
        wire="openai",
        document="vLLM documentation, 'OpenAI-Compatible Server': prompt_tokens_details is null "
        "without --enable-prompt-tokens-details",
        whole=chat(BARE | {"prompt_tokens_details": None}),
        stream=chat_stream(BARE | {"prompt_tokens_details": None}),
        usage=READ_BARE,
        micro_usd=BARE_USD,
    ),
    Case(
        name="vLLM, running usage",
        wire="openai",
        document="vLLM documentation, 'OpenAI-Compatible Server': continuous_usage_stats and "
        "--enable-force-include-usage",
        whole=chat(BARE),
        stream=chat_stream(BARE, at="every"),
        usage=READ_BARE,
        micro_usd=BARE_USD,
    ),
    Case(
        name="llama.cpp, cached prompt",
        wire="openai",
        document="llama.cpp, tools/server/README.md, 'POST /v1/chat/completions'; timings beside",
        whole=chat(BARE | {"prompt_tokens_details": {"cached_tokens": 40}})
        | {"timings": {"prompt_n": 17, "predicted_n": 17}},
        stream=chat_stream(BARE | {"prompt_tokens_details": {"cached_tokens": 40}}),
        usage=Usage(input_tokens=57, output_tokens=17, cached_tokens=40),
        micro_usd=17 * 3 + 40 * 0.3 + 17 * 15,
    ),
    Case(
        name="Ollama",
        wire="openai",
        document="Ollama documentation, 'OpenAI compatibility': stream_options.include_usage",
        whole=chat(BARE) | {"system_fingerprint": "fp_ollama"},
        stream=chat_stream(BARE),
        usage=READ_BARE,
        micro_usd=BARE_USD,
    ),
    Case(
        name="Together, usage beside the last words",
        wire="openai",
        document="Together AI documentation, 'Chat completions' reference: usage in the last chunk",
        whole=chat(BARE),
        stream=chat_stream(BARE, at="with"),
        usage=READ_BARE,
        micro_usd=BARE_USD,
    ),
    Case(
        name="OpenRouter, with a cost of its own",
        wire="openai",
        document="OpenRouter documentation, 'Usage accounting'",
        whole=chat(OPENAI | {"cost": 0.95, "cost_details": {"upstream_inference_cost": 19}}),
        stream=b": OPENROUTER PROCESSING\n\n" + chat_stream(OPENAI | {"cost": 0.95}),
        usage=READ_OPENAI,
        micro_usd=OPENAI_USD,
    ),
    Case(
        name="a server that counts nothing",
        wire="openai",
        document="none: usage is optional in the documents of several servers",
        whole=chat(None),
        stream=chat_stream(None),
        usage=Usage(),
        micro_usd=None,
    ),
    Case(
        name="Anthropic, cache read and written, thinking, a tool use",
        wire="anthropic",
        document="Anthropic API reference, 'Create a Message' and 'Streaming messages': counts in "
        "message_delta are cumulative",
        whole=message(ANTHROPIC),
        stream=message_stream(
            STARTED, {"output_tokens": 503, "output_tokens_details": {"thinking_tokens": 400}}
        ),
        usage=READ_ANTHROPIC,
        micro_usd=ANTHROPIC_USD,
    ),
    Case(
        name="Anthropic, everything repeated in message_delta",
        wire="anthropic",
        document="Anthropic API reference, 'Streaming messages', section 'message_delta'",
        whole=message(ANTHROPIC),
        stream=message_stream(STARTED, ANTHROPIC),
        usage=READ_ANTHROPIC,
        micro_usd=ANTHROPIC_USD,
    ),
    Case(
        name="Bedrock, cache read and written",
        wire="bedrock",
        document="Amazon Bedrock API reference, 'TokenUsage' and 'ConverseStreamMetadataEvent'; "
        "user guide, 'Prompt caching for faster model inference'",
        whole=converse(),
        stream=b"".join(frame(kind, payload) for kind, payload in converse_stream()),
        usage=Usage(
            input_tokens=1111, output_tokens=15, cached_tokens=1000, cache_write_tokens=100
        ),
        micro_usd=BEDROCK_USD,
    ),
)
