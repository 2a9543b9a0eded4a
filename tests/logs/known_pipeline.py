"""A known pipeline, and its log as each format writes it: 6 steps, two models, retries, caching,
batch. Also used by benchmarks. The wording of every format follows the document that its reader
names; what a format cannot carry is in `LACKS`.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

BIG, SMALL = "gpt-4.1", "claude-sonnet-4-5"
START_S = 1_793_527_200
SCHEMA = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}
TOOL = {
    "type": "function",
    "function": {"name": "look_up", "description": "Find", "parameters": SCHEMA},
}


class Step(NamedTuple):
    """A step of the pipeline."""

    name: str
    model: str
    system: str
    input_tokens: int
    output_tokens: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    tools: tuple[dict[str, Any], ...] = ()
    batch: bool = False


STEPS = (
    Step("intent", BIG, "Label the intent of the message.", 420, 4, cached=256),
    Step("urgency", BIG, "How urgent is it: low or high?", 210, 2),
    Step("extract", BIG, "Take out the order number as JSON.", 380, 22, reasoning=8),
    Step("lookup", BIG, "Find the order with your tools.", 640, 31, tools=(TOOL,)),
    Step("draft", SMALL, "Draft a reply to the customer.", 1900, 240, cached=1024, written=400),
    Step("nightly", BIG, "Summarise the day.", 5200, 300, batch=True),
)


class Call(NamedTuple):
    """One call: what every format has to tell of it."""

    number: int
    step: Step
    at_s: float
    latency_s: float
    first_token_s: float
    input_tokens: int
    output_tokens: int
    failed: bool
    session: str
    text: str
    answer: str

    @property
    def id(self) -> str:
        return f"call-{self.number}"

    @property
    def anthropic(self) -> bool:
        return self.step.model == SMALL


def calls(n: int, seed: int = 7, *, batch: bool | None = None) -> Iterator[Call]:
    """Yield calls; one in 40 failed and is tried again. `batch`: only such, or only others."""
    rng = random.Random(seed)
    for number in range(n):
        step = STEPS[number % len(STEPS)]
        failed = rng.random() < 1 / 40 and not step.batch
        text = f"Order A{number} came late. " + " ".join(
            rng.choice(("lamp", "money", "please", "order", "café")) for _ in range(12)
        )
        call = Call(
            number=number,
            step=step,
            at_s=START_S + number * 7 + 0.25,
            latency_s=round(rng.uniform(0.2, 4), 3),
            first_token_s=0.125,
            input_tokens=0 if failed else step.input_tokens + rng.randrange(50),
            output_tokens=0 if failed else step.output_tokens + rng.randrange(5),
            failed=failed,
            session=f"m{number // len(STEPS)}",
            text=text,
            answer=f"answer {number % 30}",
        )
        if batch is None or batch == step.batch:
            yield call


def messages(call: Call) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": call.step.system},
        {"role": "user", "content": call.text},
    ]


def openai_body(call: Call) -> dict[str, Any]:
    body: dict[str, Any] = {"model": call.step.model, "messages": messages(call), "max_tokens": 500}
    return {**body, "tools": list(call.step.tools)} if call.step.tools else body


def openai_usage(call: Call) -> dict[str, Any]:
    cached = 0 if call.failed else call.step.cached
    return {
        "prompt_tokens": call.input_tokens,
        "completion_tokens": call.output_tokens,
        "total_tokens": call.input_tokens + call.output_tokens,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0 if call.failed else call.step.reasoning
        },
    }


def openai_answer(call: Call) -> dict[str, Any]:
    return {
        "id": call.id,
        "object": "chat.completion",
        "created": int(call.at_s),
        "model": call.step.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": call.answer},
                "finish_reason": "stop",
            }
        ],
        "usage": openai_usage(call),
    }


def anthropic_body(call: Call) -> dict[str, Any]:
    return {
        "model": call.step.model,
        "max_tokens": 500,
        "system": [{"type": "text", "text": call.step.system}],
        "messages": [{"role": "user", "content": call.text}],
    }


def anthropic_answer(call: Call) -> dict[str, Any]:
    cached, written = (0, 0) if call.failed else (call.step.cached, call.step.written)
    return {
        "id": call.id,
        "type": "message",
        "role": "assistant",
        "model": call.step.model,
        "content": [{"type": "text", "text": call.answer}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": call.input_tokens - cached - written,
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": written,
            "cache_creation": {
                "ephemeral_5m_input_tokens": written,
                "ephemeral_1h_input_tokens": 0,
            },
            "output_tokens": call.output_tokens,
        },
    }


def pair(call: Call) -> dict[str, Any]:
    """Return a pair, each model's on its vendor's wire."""
    wires = (anthropic_body, anthropic_answer) if call.anthropic else (openai_body, openai_answer)
    found = {
        "id": call.id,
        "timestamp": call.at_s,
        "metadata": {"step": call.step.name, "message_id": call.session},
        "latency_s": call.latency_s,
        "first_token_s": call.first_token_s,
        "request": wires[0](call),
        "response": wires[1](call),
    }
    if call.step.batch:
        found["response"]["service_tier"] = "batch"
    return found | ({"status": 503} if call.failed else {})


def responses_pair(call: Call) -> dict[str, Any]:
    """Return a pair of the Responses API; the other vendor's call as its own."""
    if call.anthropic:
        return pair(call)
    answered = openai_answer(call)
    told = answered["usage"]
    asked: dict[str, Any] = {
        "model": call.step.model,
        "instructions": call.step.system,
        "input": call.text,
        "max_output_tokens": 500,
    }
    if call.step.tools:
        asked["tools"] = [{"type": "function", **TOOL["function"]}]  # type: ignore[dict-item]
    block = {"type": "output_text", "text": call.answer}
    response = {
        "id": call.id,
        "object": "response",
        "created_at": call.at_s,
        "model": call.step.model,
        "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": [block]}],
        "usage": {
            "input_tokens": told["prompt_tokens"],
            "input_tokens_details": {
                "cached_tokens": told["prompt_tokens_details"]["cached_tokens"]
            },
            "output_tokens": told["completion_tokens"],
            "output_tokens_details": told["completion_tokens_details"],
        },
        "service_tier": "batch" if call.step.batch else "default",
    }
    return pair(call) | {"request": asked, "response": response}


def litellm_payload(call: Call) -> dict[str, Any]:
    """Return a StandardLoggingPayload; LiteLLM turns every vendor's usage into OpenAI's."""
    answered = openai_answer(call)
    usage = answered["usage"]
    if call.anthropic and not call.failed:
        usage["prompt_tokens_details"]["cached_tokens"] = call.step.cached
        usage["cache_creation_input_tokens"] = call.step.written
    if call.step.batch:
        answered["service_tier"] = "batch"
    parameters = {
        "max_tokens": 500,
        **({"tools": list(call.step.tools)} if call.step.tools else {}),
    }
    return {
        "id": call.id,
        "trace_id": call.session,
        "call_type": "acompletion",
        "response_cost": 0,
        "status": "failure" if call.failed else "success",
        "prompt_tokens": call.input_tokens,
        "completion_tokens": call.output_tokens,
        "total_tokens": call.input_tokens + call.output_tokens,
        "startTime": call.at_s,
        "endTime": call.at_s + call.latency_s,
        "completionStartTime": call.at_s + call.first_token_s,
        "response_time": call.first_token_s,  # a trap
        "stream": True,
        "model": call.step.model,
        "metadata": {"requester_metadata": {"step": call.step.name}},
        "request_tags": [],
        "messages": messages(call),
        "response": answered,
        "model_parameters": parameters,
    }


def spend_log(call: Call) -> dict[str, Any]:
    """Return a row of SpendLogs: no content, JSON in strings, times without a zone."""
    step = {"spend_logs_metadata": {"step": call.step.name}}
    return {
        "request_id": call.id,
        "call_type": "acompletion",
        "spend": 0.0,
        "prompt_tokens": call.input_tokens,
        "completion_tokens": call.output_tokens,
        "startTime": _naive(call.at_s),
        "endTime": _naive(call.at_s + call.latency_s),
        "model": call.step.model,
        "metadata": json.dumps(step),
        "request_tags": "[]",
        "session_id": call.session,
        "cache_hit": "None",
        "messages": "{}",
        "response": "{}",
        "status": "failure" if call.failed else "success",
    }


def langfuse_observation(call: Call) -> dict[str, Any]:
    """Return a row of the enriched export; its latency is in milliseconds here (a trap)."""
    cached, written = (0, 0) if call.failed else (call.step.cached, call.step.written)
    thought = 0 if call.failed else call.step.reasoning
    details = {
        "input": call.input_tokens - cached - written,
        "output": call.output_tokens - thought,
        "total": call.input_tokens + call.output_tokens,
    }
    details |= {"input_cached_tokens": cached} if cached else {}
    details |= {"cache_creation_input_tokens": written} if written else {}
    details |= {"output_reasoning_tokens": thought} if thought else {}
    return {
        "id": call.id,
        "trace_id": call.session,
        "session_id": call.session,
        "type": "GENERATION",
        "name": call.step.name,
        "start_time": _naive(call.at_s),
        "end_time": _naive(call.at_s + call.latency_s),
        "completion_start_time": _naive(call.at_s + call.first_token_s),
        "latency": call.latency_s * 1000,
        "provided_model_name": call.step.model,
        "model_parameters": json.dumps(
            {"max_tokens": 500, **({"service_tier": "batch"} if call.step.batch else {})}
        ),
        "usage_details": details,
        "cost_details": {},
        "total_cost": 0,
        "level": "ERROR" if call.failed else "DEFAULT",
        "input": json.dumps(
            {"messages": messages(call), **({"tools": [TOOL]} if call.step.tools else {})}
        ),
        "output": json.dumps({"role": "assistant", "content": call.answer}),
        "metadata": {},
    }


def helicone_request(call: Call) -> dict[str, Any]:
    """Return a request as the export with bodies writes it."""
    told = pair(call)
    return {
        "request_id": call.id,
        "request_created_at": datetime.fromtimestamp(call.at_s, UTC).isoformat(),
        "response_status": 503 if call.failed else 200,
        "request_model": call.step.model,
        "response_model": call.step.model,
        "provider": "ANTHROPIC" if call.anthropic else "OPENAI",
        "delay_ms": call.latency_s * 1000,
        "time_to_first_token": call.first_token_s * 1000,
        "prompt_tokens": call.input_tokens,
        "completion_tokens": call.output_tokens,
        "request_properties": {"step": call.step.name, "Helicone-Session-Id": call.session},
        "request_body": told["request"],
        "response_body": told["response"],
        "costUSD": None,
    }


def portkey_log(call: Call) -> dict[str, Any]:
    """Return a row of the export, with all columns; its cost is in cents, 0 where unknown."""
    told = pair(call)
    return {
        "id": call.id,
        "trace_id": call.session,
        "created_at": datetime.fromtimestamp(call.at_s, UTC).isoformat(),
        "request": {"url": "https://example.invalid", "body": told["request"]},
        "response": {"status": 503 if call.failed else 200, "body": told["response"]},
        "is_success": 0 if call.failed else 1,
        "ai_org": "anthropic" if call.anthropic else "openai",
        "ai_model": call.step.model,
        "req_units": call.input_tokens,
        "res_units": call.output_tokens,
        "total_units": call.input_tokens + call.output_tokens,
        "cost": 0,
        "cost_currency": "USD",
        "response_time": call.latency_s * 1000,
        "response_status_code": 503 if call.failed else 200,
        "mode": "SINGLE",
        "cache_status": "DISABLED",
        "metadata": {"step": call.step.name},
    }


def otel_span(call: Call) -> dict[str, Any]:
    """Return one OTLP export of one span with the names of November 2026."""
    parts = [{"role": "user", "parts": [{"type": "text", "content": call.text}]}]
    said = [{"role": "assistant", "parts": [{"type": "text", "content": call.answer}]}]
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic" if call.anthropic else "openai",
        "gen_ai.request.model": call.step.model,
        "gen_ai.request.max_tokens": 500,
        "gen_ai.conversation.id": call.session,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "gen_ai.response.id": call.id,
        "gen_ai.response.time_to_first_chunk": call.first_token_s,
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": call.step.system}]),
        "gen_ai.input.messages": json.dumps(parts),
        "gen_ai.output.messages": json.dumps(said),
        "step": call.step.name,
    }
    if not call.failed:
        told["gen_ai.usage.cache_read.input_tokens"] = call.step.cached
        told["gen_ai.usage.cache_write.input_tokens"] = call.step.written
        told["gen_ai.usage.reasoning.output_tokens"] = call.step.reasoning
    if call.step.batch:
        told["openai.response.service_tier"] = "batch"
    if call.step.tools:
        told["gen_ai.tool.definitions"] = json.dumps(list(call.step.tools))
    if call.failed:
        told["error.type"] = "503"
    return _export(call, f"chat {call.step.model}", told)


def openllmetry_span(call: Call) -> dict[str, Any]:
    """Return a span with the old names, flattened messages."""
    told: dict[str, Any] = {
        "gen_ai.system": "Anthropic" if call.anthropic else "OpenAI",
        "llm.request.type": "chat",
        "gen_ai.request.model": call.step.model,
        "gen_ai.request.max_tokens": 500,
        "gen_ai.usage.prompt_tokens": call.input_tokens,
        "gen_ai.usage.completion_tokens": call.output_tokens,
        "gen_ai.usage.cache_read_input_tokens": 0 if call.failed else call.step.cached,
        "gen_ai.usage.cache_creation_input_tokens": 0 if call.failed else call.step.written,
        "gen_ai.usage.reasoning_tokens": 0 if call.failed else call.step.reasoning,
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": call.step.system,
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": call.text,
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": call.answer,
        "traceloop.association.properties.step": call.step.name,
        "traceloop.association.properties.session_id": call.session,
    }
    if call.step.batch:
        told["gen_ai.openai.response.service_tier"] = "batch"
    if call.step.tools:
        told["llm.request.functions.0.name"] = "look_up"
    return _export(call, "openai.chat", told)


def openinference_span(call: Call) -> dict[str, Any]:
    """Return a span with OpenInference's names."""
    parameters = {"max_tokens": 500, **({"service_tier": "batch"} if call.step.batch else {})}
    told: dict[str, Any] = {
        "openinference.span.kind": "LLM",
        "llm.model_name": call.step.model,
        "llm.provider": "anthropic" if call.anthropic else "openai",
        "llm.invocation_parameters": json.dumps(parameters),
        "llm.token_count.prompt": call.input_tokens,
        "llm.token_count.completion": call.output_tokens,
        "llm.token_count.prompt_details.cache_read": 0 if call.failed else call.step.cached,
        "llm.token_count.prompt_details.cache_write": 0 if call.failed else call.step.written,
        "llm.token_count.completion_details.reasoning": 0 if call.failed else call.step.reasoning,
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": call.step.system,
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": call.text,
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": call.answer,
        "session.id": call.session,
        "metadata": json.dumps({"step": call.step.name}),
    }
    if call.step.tools:
        told["llm.tools.0.tool.json_schema"] = json.dumps(TOOL)
    return _export(call, "ChatCompletion", told)


def flat(call: Call) -> dict[str, Any]:
    """Return a row of a plain table."""
    return {
        "id": call.id,
        "timestamp": datetime.fromtimestamp(call.at_s, UTC).isoformat(),
        "model": call.step.model,
        "step": call.step.name,
        "session": call.session,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "cached_tokens": 0 if call.failed else call.step.cached,
        "cache_write_tokens": 0 if call.failed else call.step.written,
        "reasoning_tokens": 0 if call.failed else call.step.reasoning,
        "latency_s": call.latency_s,
        "processing": "batch" if call.step.batch else "standard",
        "status": "error" if call.failed else "ok",
        "system": call.step.system,
        "input": call.text,
        "answer": call.answer,
        "max_tokens": 500,
        "tools_count": len(call.step.tools),
    }


def batch_input(call: Call) -> dict[str, Any]:
    body = {**openai_body(call), "metadata": {"step": call.step.name, "message_id": call.session}}
    return {"custom_id": call.id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def batch_output(call: Call) -> dict[str, Any]:
    response = {"status_code": 200, "request_id": f"r{call.number}", "body": openai_answer(call)}
    return {
        "id": f"batch_req_{call.number}",
        "custom_id": call.id,
        "response": response,
        "error": None,
    }


def anthropic_batch_input(call: Call) -> dict[str, Any]:
    return {"custom_id": call.id, "params": anthropic_body(call)}


def anthropic_batch_result(call: Call) -> dict[str, Any]:
    message = anthropic_answer(call)
    return {"custom_id": call.id, "result": {"type": "succeeded", "message": message}}


# Every format that tells one call after another, by name.
FORMATS: dict[str, Callable[[Call], dict[str, Any]]] = {
    "pairs": pair,
    "responses": responses_pair,
    "litellm payload": litellm_payload,
    "langfuse": langfuse_observation,
    "helicone": helicone_request,
    "portkey": portkey_log,
    "otel": otel_span,
    "openllmetry": openllmetry_span,
    "openinference": openinference_span,
    "table": flat,
    "litellm spend logs": spend_log,
}
# What a format cannot carry (our names): its column must be unknown, not zero.
LACKS: dict[str, frozenset[str]] = {
    "litellm spend logs": frozenset(
        (
            "content",
            "first_token_s",
            "cached_tokens",
            "cache_write_tokens",
            "reasoning_tokens",
            "processing",
            "tools",
            "max_tokens",
        )
    ),
    "table": frozenset(("first_token_s",)),
    "portkey": frozenset(("first_token_s",)),
    "openllmetry": frozenset(("first_token_s",)),
    "openinference": frozenset(("first_token_s",)),
}


def written(form: str, n: int) -> Iterator[bytes]:
    """Yield the lines of a log of n calls."""
    write = FORMATS[form]
    for call in calls(n):
        yield json.dumps(write(call), ensure_ascii=False).encode() + b"\n"


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Return rows as CSV; what is no plain cell is JSON."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]))
    table.writeheader()
    for row in rows:
        plain = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()}
        table.writerow(plain)
    return text.getvalue()


def _naive(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _export(call: Call, name: str, told: dict[str, Any]) -> dict[str, Any]:
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    attributes = [
        {"key": key, "value": {kinds[type(v)]: str(v) if isinstance(v, int) else v}}
        for key, v in told.items()
    ]
    span = {
        "traceId": f"{call.number:032x}",
        "spanId": f"{call.number:016x}",
        "name": name,
        "startTimeUnixNano": str(round(call.at_s * 1000) * 1_000_000),
        "endTimeUnixNano": str(round((call.at_s + call.latency_s) * 1000) * 1_000_000),
        "attributes": attributes,
        "status": {"code": 2} if call.failed else {},
    }
    scope = {"scope": {"name": "a tracer"}, "spans": [span]}
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [scope]}]}
