"""OpenTelemetry spans of model calls as JSON: OTLP exports, one span a line, or a list of spans.

Follows "Semantic conventions for generative client AI spans" (now in a repository of its own, all
names still "Development") as of November 2026 and version 1.36, the names of OpenLLMetry
("GenAI Semantic Conventions", Traceloop documentation) and OpenInference ("Semantic Conventions"),
both as of November 2026. Newer and older names stand in one table, `ALIASES`.

Traps: there is no cost attribute in the conventions (OpenInference has one). Input tokens include
cached ones. Attributes may be a plain object or OTLP's list of {"key", "value": {"stringValue"}};
messages may be JSON inside a string, flattened (`llm.input_messages.0.message.role`), or events of
the span. A span around a call (a workflow, an agent, a tool) is no call and is counted as such.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.logs.cells import amount, count, flag, mapping, word
from stepdown.adapters.logs.moments import between, moment
from stepdown.adapters.logs.names import name_row
from stepdown.adapters.logs.otel_said import said_in
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading, read_values
from stepdown.adapters.logs.records import first_objects
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.said import unpacked
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.wire import offered, processed
from stepdown.core.call_columns import Batch
from stepdown.ports.log_reader import Log

# Ours: theirs, the present name of the conventions first, then older ones, then other families'.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"),
    "asked_model": ("gen_ai.request.model", "llm.request.model", "llm.model_name"),
    "model": (
        "gen_ai.response.model",
        "llm.response.model",
        "gen_ai.request.model",
        "llm.request.model",
        "llm.model_name",
        "embedding.model_name",
    ),
    "operation": (
        "gen_ai.operation.name",
        "llm.request.type",
        "gen_ai.request.type",
        "openinference.span.kind",
    ),
    "session": (
        "gen_ai.conversation.id",
        "session.id",
        "traceloop.association.properties.session_id",
    ),
    "user": ("user.id", "enduser.id", "traceloop.association.properties.user_id"),
    "max_tokens": ("gen_ai.request.max_tokens", "llm.request.max_tokens"),
    "temperature": ("gen_ai.request.temperature", "llm.temperature"),
    "choices": ("gen_ai.request.choice.count",),
    "stream": ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming"),
    "effort": ("gen_ai.request.reasoning_effort", "gen_ai.request.reasoning.level"),
    "shape": ("gen_ai.output.type", "gen_ai.openai.request.response_format"),
    "finish": ("gen_ai.response.finish_reasons", "gen_ai.completion.0.finish_reason"),
    "tier": (
        "openai.response.service_tier",
        "gen_ai.openai.response.service_tier",
        "openai.request.service_tier",
        "gen_ai.openai.request.service_tier",
    ),
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "llm.token_count.prompt",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "llm.token_count.completion",
    ),
    "cached_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.input_tokens.cached",
        "llm.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "llm.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
    "cost": ("llm.cost.total", "gen_ai.usage.cost", "gen_ai.cost.total_cost"),
    "first_token": (
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.server.time_to_first_token",
        "gen_ai.latency.time_to_first_token",
    ),
    "tools": ("gen_ai.tool.definitions",),
    "response_id": ("gen_ai.response.id", "llm.response.id"),
    "prompt": ("gen_ai.prompt.name", "llm.prompt_template.name", "traceloop.prompt.key"),
    "error": ("error.type",),
    "tags": ("tag.tags",),
}
CALLS = {
    "chat": "chat",
    "generate_content": "chat",
    "response": "chat",
    "text_completion": "completion",
    "completion": "completion",
    "embeddings": "embeddings",
    "embedding": "embeddings",
    "llm": "chat",
}
_PREFIXES = ("gen_ai.", "llm.", "openinference.", "traceloop.")
# Where frameworks put the metadata that callers set.
_METADATA = ("traceloop.association.properties.", "metadata.")
_STEP_NAMES = ("traceloop.entity.name", "traceloop.workflow.name", "gen_ai.agent.name")
_KEPT = ("metadata", "langfuse.trace.metadata")


class OTelSpans:
    """Read spans; `step` names every call. Spans that are no model calls are passed over."""

    name = (
        "OpenTelemetry GenAI spans (semantic conventions of November 2026 and 1.36, OpenLLMetry,"
        " OpenInference)"
    )
    by_line = True

    def __init__(self, step: str | None = None) -> None:
        self.step = step

    def accepts(self, head: bytes) -> bool:
        """Tell whether a value near the start is an export or a span of a model call."""
        return any(_is_export(found) or _is_span(found) for found in first_objects(head))

    def read(self, log: Log | Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Yield the calls in batches; a broken value is refused with its line."""
        return read_values(
            Source.of(log), self._parse, form=self.name, unpack=said_in, batch_rows=batch_rows
        )

    def _parse(self, value: bytes, reading: Reading) -> list[tuple[Row, Any]]:
        told = msgspec.json.decode(value)
        if not isinstance(told, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 - a line's fault, not the caller's
        try:
            found = [self._call(span, scope, reading) for span, scope in _spans(told)]
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"a shape that the conventions do not know: {error}") from error
        return [call for call in found if call is not None]

    def _call(
        self, span: Mapping[str, Any], scope: Mapping[str, Any], reading: Reading
    ) -> tuple[Row, Any] | None:
        attributes = plain_attributes(span)
        told = {ours: _first(attributes, theirs) for ours, theirs in ALIASES.items()}
        operation = str(told["operation"] or "").lower()
        if operation not in CALLS and (operation or told["input_tokens"] is None):
            reading.note("spans that are no call of a model")
            return None
        if told["model"] is None and told["input_tokens"] is None:
            reading.note("spans that are no call of a model")
            return None
        row = _row(told, CALLS.get(operation))
        row.id = word(told["response_id"]) or word(_any(span, "spanId", "span_id", "id"))
        row.trace = word(_any(span, "traceId", "trace_id"))
        row.parent = word(_any(span, "parentSpanId", "parent_span_id", "parent_id"))
        _times(row, span, told, reading)
        _invocation(row, attributes)
        offered(row, _definitions(told["tools"], attributes))
        if told["error"] or _failed(span):
            row.status, row.error = "error", word(told["error"]) or _message(span) or "error"
        self._named(row, span, attributes, told)
        return row, (span, attributes)

    def _named(
        self,
        row: Row,
        span: Mapping[str, Any],
        attributes: Mapping[str, Any],
        told: Mapping[str, Any],
    ) -> None:
        name = span.get("name")
        names = {key: attributes.get(key) for key in _STEP_NAMES}
        step = next((str(value) for value in names.values() if value), None)
        # The conventions' own span name ("chat MODEL") names no step.
        usual = _usual(name, told)
        named = {"span_name": step or (None if usual else name), "prompt_name": row.prompt}
        tags = unpacked(told["tags"])
        name_row(
            row,
            self.step,
            (metadata_of(attributes), attributes),
            names={key: value for key, value in named.items() if value},
            tags=tags if isinstance(tags, list) else (),
        )
        row.session = word(told["session"]) or row.session or row.trace


def plain_attributes(span: Mapping[str, Any]) -> dict[str, Any]:
    """Return a span's attributes with plain values under flat names."""
    found = span.get("attributes")
    if isinstance(found, list):
        return {pair["key"]: plain_value(pair.get("value")) for pair in found if "key" in pair}
    flat = {key: value for key, value in span.items() if key.startswith("attributes.")}
    if flat:  # exports of Phoenix and of data frames
        return {key.removeprefix("attributes."): value for key, value in flat.items()}
    if not isinstance(found, dict):
        return {key: value for key, value in span.items() if key.startswith(_PREFIXES)}
    return _flattened(found) if _is_nested(found) else found


def plain_value(value: Any) -> Any:
    """Return an OTLP value (`{"intValue": "5"}`) as a plain one."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    kind, inner = next(iter(value.items()))
    if kind == "arrayValue":
        return [plain_value(item) for item in mapping(inner).get("values", ())]
    if kind == "kvlistValue":
        pairs = mapping(inner).get("values", ())
        return {pair["key"]: plain_value(pair.get("value")) for pair in pairs}
    return int(inner) if kind == "intValue" else inner


def metadata_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the caller wrote beside the call."""
    found: dict[str, Any] = {}
    for name in _KEPT:
        found |= mapping(unpacked(attributes.get(name)))
    for prefix in _METADATA:
        found |= {
            key.removeprefix(prefix): value
            for key, value in attributes.items()
            if key.startswith(prefix)
        }
    return found


def _spans(value: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for outer in ("resourceSpans", "resource_spans", "batches"):
        if isinstance(value.get(outer), list):
            for resource in value[outer]:
                yield from _spans(resource)
            return
    scopes = value.get("scopeSpans") or value.get("scope_spans")
    scopes = scopes or value.get("instrumentationLibrarySpans")
    if isinstance(scopes, list):
        for scope in scopes:
            for span in scope.get("spans", ()):
                yield span, mapping(scope.get("scope"))
        return
    yield value, {}


def _is_export(found: Mapping[str, Any]) -> bool:
    return any(
        name in found for name in ("resourceSpans", "resource_spans", "scopeSpans", "scope_spans")
    )


def _is_span(found: Mapping[str, Any]) -> bool:
    if not any(name in found for name in ("name", "spanId", "span_id", "context", "traceId")):
        return False
    return any(key.startswith(_PREFIXES) for key in plain_attributes(found))


def _is_nested(found: Mapping[str, Any]) -> bool:
    return any(isinstance(found.get(name), dict) for name in ("gen_ai", "llm", "openinference"))


def _flattened(found: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in found.items():
        if isinstance(value, dict) and value:
            flat |= _flattened(value, f"{before}{key}.")
        else:
            flat[f"{before}{key}"] = value
    return flat


def _first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def _any(span: Mapping[str, Any], *names: str) -> Any:
    inner = mapping(span.get("context"))
    for name in names:
        found = span.get(name) or inner.get(name) or span.get(f"context.{name}")
        if found:
            return found
    return None


def _row(told: Mapping[str, Any], kind: str | None) -> Row:
    return Row(
        provider=_lower(word(told["provider"])),  # older names are brands: OpenAI
        model=word(told["model"]),
        asked_model=word(told["asked_model"]),
        kind=kind,
        user=word(told["user"]),
        prompt=word(told["prompt"]),
        processing=processed(word(told["tier"])),
        effort=word(told["effort"]),
        shape=_shape(told["shape"]),
        finish=_finish(told["finish"]),
        input_tokens=count("input_tokens", told["input_tokens"]),
        output_tokens=count("output_tokens", told["output_tokens"]),
        cached_tokens=count("cached_tokens", told["cached_tokens"]),
        cache_write_tokens=count("cache_write_tokens", told["cache_write_tokens"]),
        reasoning_tokens=count("reasoning_tokens", told["reasoning_tokens"]),
        cost_usd=amount("cost", told["cost"]),
        first_token_s=amount("time to the first token", told["first_token"]),
        max_tokens=count("max_tokens", told["max_tokens"]),
        temperature=amount("temperature", told["temperature"]),
        choices=count("choices", told["choices"]),
        stream=flag(told["stream"]),
    )


def _shape(value: Any) -> str | None:
    return {"json": "json_object"}.get(str(value), str(value)) if value else None


def _finish(value: Any) -> str | None:
    found = unpacked(value)
    return word(found[0]) if isinstance(found, list) and found else word(found)


def _times(row: Row, span: Mapping[str, Any], told: Mapping[str, Any], reading: Reading) -> None:
    start, end = _time(span, "start"), _time(span, "end")
    row.at_s, row.latency_s = start, between(start, end)
    if start is not None and end is not None and end < start:
        reading.note("calls that ended before they began (their latency is unknown)")


def _time(span: Mapping[str, Any], which: str) -> float | None:
    names = (f"{which}TimeUnixNano", f"{which}_time_unix_nano", f"{which}_time", f"{which}Time")
    return moment(next((span[name] for name in names if span.get(name)), None))


def _invocation(row: Row, attributes: Mapping[str, Any]) -> None:
    """Write what OpenInference keeps as JSON of the call's parameters."""
    found = mapping(unpacked(attributes.get("llm.invocation_parameters")))
    if not found:
        return
    row.temperature = (
        row.temperature
        if row.temperature is not None
        else amount("temperature", found.get("temperature"))
    )
    if row.max_tokens is None:
        limit = found.get("max_completion_tokens", found.get("max_tokens"))
        row.max_tokens = count("max_tokens", limit)
    shape = mapping(found.get("response_format")).get("type")
    row.shape = row.shape or word(shape)
    row.effort = row.effort or word(found.get("reasoning_effort"))
    row.stream = row.stream if row.stream is not None else flag(found.get("stream"))
    row.processing = row.processing or processed(word(found.get("service_tier")))


def _definitions(value: Any, attributes: Mapping[str, Any]) -> bytes:
    found = unpacked(value)
    if found is None:
        found = [unpacked(tool) for tool in flat_list(attributes, "llm.tools", "tool.json_schema")]
        found = found or mapping(unpacked(attributes.get("llm.invocation_parameters"))).get("tools")
    if not found:
        functions = flat_list(attributes, "llm.request.functions", "name")
        found = [{"name": name} for name in functions]
    return msgspec.json.encode(found) if isinstance(found, list) and found else b""


def flat_list(attributes: Mapping[str, Any], prefix: str, suffix: str) -> list[Any]:
    """Return the values of a list that is flattened as PREFIX.0.SUFFIX, PREFIX.1.SUFFIX, ..."""
    found: list[Any] = []
    while (value := attributes.get(f"{prefix}.{len(found)}.{suffix}")) is not None:
        found.append(value)
    return found


def _failed(span: Mapping[str, Any]) -> bool:
    status = span.get("status", span.get("status_code"))
    code = status.get("code") or status.get("status_code") if isinstance(status, dict) else status
    return code in (2, "2", "ERROR", "STATUS_CODE_ERROR", "Error")


def _message(span: Mapping[str, Any]) -> str | None:
    return word(mapping(span.get("status")).get("message"))


def _usual(name: Any, told: Mapping[str, Any]) -> bool:
    """Tell whether a span's name is one that instrumentations give to every call."""
    if not isinstance(name, str):
        return True
    models = (told["asked_model"], told["model"])
    if name in {f"{told['operation']} {model}" for model in models} | {told["operation"]}:
        return True
    # `openai.chat`, `ChatCompletion`, `anthropic.chat`, `ChatOpenAI`: names of clients
    low = name.lower()
    ends = (".chat", ".completion", ".embeddings", ".create", ".response", ".messages")
    return low.endswith(ends) or low in ("chatcompletion", "chatopenai", "createembeddings", "llm")


def _lower(name: str | None) -> str | None:
    return None if name is None else name.lower()
