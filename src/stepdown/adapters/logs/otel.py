"""OpenTelemetry GenAI spans as JSON lines: one span a line, or one OTLP export a line.

Follows "Semantic conventions for generative client AI spans" (all names still "Development"; the
page as of November 2026) and the names of version 1.36 and before, which vLLM and OpenLLMetry
still emit. There is no cost attribute. Input tokens include cached ones. Attributes may be a plain
object or OTLP's list of {"key", "value": {"stringValue": ...}}; messages may be a JSON string.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.logs.heads import first_objects
from stepdown.adapters.logs.lines import read_lines
from stepdown.adapters.logs.moments import epoch_s, iso
from stepdown.adapters.logs.names import session_of, step_of
from stepdown.core.request import Message, TextPart, ToolCall, Usage
from stepdown.core.usage_log import Batch, LoggedCall

# Ours: theirs, the present name first.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "provider": ("gen_ai.provider.name", "gen_ai.system"),
    "request_model": ("gen_ai.request.model",),
    "model": ("gen_ai.response.model", "gen_ai.request.model"),
    "operation": ("gen_ai.operation.name", "llm.request.type"),
    "conversation": ("gen_ai.conversation.id",),
    "max_tokens": ("gen_ai.request.max_tokens",),
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "cached_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
    ),
    "reasoning_tokens": ("gen_ai.usage.reasoning.output_tokens",),
    "system": ("gen_ai.system_instructions",),
    "messages": ("gen_ai.input.messages", "gen_ai.prompt"),
    "answers": ("gen_ai.output.messages", "gen_ai.completion"),
    "tools": ("gen_ai.tool.definitions",),
    "response_id": ("gen_ai.response.id",),
    "error": ("error.type",),
}
CALLS = ("chat", "generate_content", "text_completion", "completion", "embeddings", None)


class OTelSpans:
    """Read spans; `step` names every call. Spans that are no model calls are passed over."""

    name = "OpenTelemetry GenAI spans (semantic conventions, November 2026 and 1.36)"

    def __init__(self, step: str | None = None) -> None:
        self.step = step

    def accepts(self, first: bytes) -> bool:
        """Tell whether a line near the start is a span with GenAI attributes."""
        return any(
            "resourceSpans" in found or any(key.startswith("gen_ai.") for key in _attributes(found))
            for found in first_objects(first)
        )

    def read(self, path: Path, *, batch_rows: int = 4096) -> Iterator[Batch]:
        """Yield the file's rows in batches; a broken row is refused with its line."""
        return read_lines(path, self._parse, batch_rows)

    def _parse(self, line: bytes, place: str) -> list[LoggedCall]:
        value = msgspec.json.decode(line)
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 - a line's fault, not the caller's
        try:
            calls = [self._call(span, place) for span in _spans(value)]
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"a shape that the conventions do not know: {error}") from error
        return [call for call in calls if call is not None]

    def _call(self, span: Mapping[str, Any], place: str) -> LoggedCall | None:
        attributes = _attributes(span)
        told = {ours: _first(attributes, theirs) for ours, theirs in ALIASES.items()}
        if told["operation"] not in CALLS or told["model"] is None:
            return None
        step, rule = self._step(span, attributes, told)
        start, end = _time(span, "start"), _time(span, "end")
        return LoggedCall(
            id=told["response_id"] or _any(span, "spanId", "span_id") or place,
            at=iso(start),
            provider=told["provider"],
            model=told["model"],
            step=step,
            step_rule=rule,
            session=told["conversation"] or _session(span, attributes),
            messages=_messages(told["system"], told["messages"]),
            answer=_answer(told["answers"]),
            usage=_usage(told),
            latency_s=None if start is None or end is None else max(0.0, end - start),
            status="error" if told["error"] or _failed(span) else "ok",
            tools=len(_unpacked(told["tools"]) or ()),
            max_tokens=_count("max_tokens", told["max_tokens"]),
            source=place,
        )

    def _step(
        self, span: Mapping[str, Any], attributes: Mapping[str, Any], told: Mapping[str, Any]
    ) -> tuple[str | None, str | None]:
        name = span.get("name")
        # The conventions' own span name ("chat MODEL") names no step.
        usual = f"{told['operation']} {told['request_model'] or told['model']}"
        names = {} if name in (usual, told["operation"]) else {"span_name": name}
        return step_of(flag=self.step, fields=[attributes], names=names)


def _spans(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "resourceSpans" not in value:
        yield value
        return
    for resource in value["resourceSpans"]:
        for scope in resource.get("scopeSpans", ()):
            yield from scope.get("spans", ())


def _attributes(span: Mapping[str, Any]) -> dict[str, Any]:
    found = span.get("attributes")
    if isinstance(found, list):
        return {pair["key"]: _plain(pair.get("value")) for pair in found if "key" in pair}
    return found if isinstance(found, dict) else {}


def _plain(value: Any) -> Any:
    """Return an OTLP value (`{"intValue": "5"}`) as a plain one."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    kind, inner = next(iter(value.items()))
    if kind == "arrayValue":
        return [_plain(item) for item in inner.get("values", ())]
    if kind == "kvlistValue":
        return {pair["key"]: _plain(pair.get("value")) for pair in inner.get("values", ())}
    return int(inner) if kind == "intValue" else inner


def _first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def _any(span: Mapping[str, Any], *names: str) -> Any:
    return next((span[name] for name in names if span.get(name)), None)


def _session(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> str | None:
    trace: str | None = _any(span, "traceId", "trace_id")
    return session_of(attributes) or attributes.get("session.id") or trace


def _time(span: Mapping[str, Any], which: str) -> float | None:
    value = _any(span, f"{which}TimeUnixNano", f"{which}_time_unix_nano", f"{which}_time")
    return None if value is None else epoch_s(value)


def _failed(span: Mapping[str, Any]) -> bool:
    status = span.get("status")
    code = status.get("code") or status.get("status_code") if isinstance(status, dict) else status
    return code in (2, "ERROR", "STATUS_CODE_ERROR")


def _usage(told: Mapping[str, Any]) -> Usage:
    return Usage(
        input_tokens=_count("input_tokens", told["input_tokens"]),
        output_tokens=_count("output_tokens", told["output_tokens"]),
        cached_tokens=_count("cached_tokens", told["cached_tokens"]),
        cache_write_tokens=_count("cache_write_tokens", told["cache_write_tokens"]),
        reasoning_tokens=_count("reasoning_tokens", told["reasoning_tokens"]),
    )


def _count(name: str, value: Any) -> int | None:
    if value is None:
        return None
    number = int(value)
    if number < 0:
        raise ValueError(f"{name} must not be negative: {value!r}")
    return number


def _unpacked(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _messages(system: Any, messages: Any) -> tuple[Message, ...] | None:
    said = _unpacked(messages)
    if said is None:
        return None
    if isinstance(said, str):
        return (Message("user", said),)
    before = _system(_unpacked(system))
    return (*before, *(_message(message) for message in said))


def _system(value: Any) -> tuple[Message, ...]:
    if value is None:
        return ()
    text = value if isinstance(value, str) else _text(value)
    return (Message("system", text),)


def _message(message: Mapping[str, Any]) -> Message:
    parts = message.get("parts")
    if parts is None:
        return Message(str(message.get("role", "user")), _content(message.get("content")))
    calls = tuple(_tool_call(part) for part in parts if part.get("type") == "tool_call")
    return Message(str(message.get("role", "user")), _text(parts), tool_calls=calls)


def _content(content: Any) -> str | tuple[TextPart, ...] | None:
    return content if content is None or isinstance(content, str) else _text(content)


def _text(parts: Any) -> str:
    texts = (part.get("content") or part.get("text") for part in parts if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def _tool_call(part: Mapping[str, Any]) -> ToolCall:
    arguments = part.get("arguments")
    raw = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return ToolCall(str(part.get("id", "")), str(part.get("name", "")), raw)


def _answer(answers: Any) -> str | None:
    said = _unpacked(answers)
    if said is None or isinstance(said, str):
        return said
    message = _message(said[0]) if said else None
    if message is None:
        return None
    if message.tool_calls and not message.text:
        return msgspec.json.encode({"tool_calls": message.tool_calls}).decode()
    return message.text
