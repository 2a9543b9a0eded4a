"""Langfuse's observations: the blob storage export (enriched or legacy), the API and its UI export.

Follows "Blob storage export field reference" (snake_case names) and the API reference's
`Observation` (camelCase names), Langfuse documentation, as of November 2026. Traps: `latency` is in
seconds or milliseconds depending on the age of the integration, so it is computed from the times;
times have no zone and are UTC; parts of `usage_details` are added up (Langfuse takes cached tokens
out of `input`), unless their total says that `input` holds them already; input and output may be
JSON inside a string. The cost is Langfuse's own sum, not an invoice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.logs.cells import amount, count, mapping, word
from stepdown.adapters.logs.csv_rows import cut_by, first_rows
from stepdown.adapters.logs.moments import between, moment
from stepdown.adapters.logs.names import name_row
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading, read_values
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.said import content_of, unpacked
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.wire import offered, processed
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Content
from stepdown.ports.log_reader import Log

# Types of observations that are calls of a model.
CALLS = {"GENERATION": "chat", "EMBEDDING": "embeddings"}
# Names that integrations give to every call.
USUAL = frozenset(
    (
        "openai-generation",
        "openai-embedding",
        "litellm-completion",
        "litellm-acompletion",
        "chatopenai",
        "chatanthropic",
        "generation",
        "llm",
    )
)
_CACHED = (
    "input_cached_tokens",
    "cache_read_input_tokens",
    "input_cache_read",
    "input_cached",
    "cached_tokens",
)
_WRITTEN = ("cache_creation_input_tokens", "input_cache_creation", "cache_write_input_tokens")
_WRITTEN_1H = ("input_cache_creation_1h", "cache_creation_1h_input_tokens")
_WRITTEN_5M = ("input_cache_creation_5m", "cache_creation_5m_input_tokens")
_REASONING = ("output_reasoning_tokens", "reasoning_tokens", "output_reasoning")


class Langfuse:
    """Read observations; `step` names every call (the user's flag)."""

    name = "Langfuse observations (export field reference and API, November 2026)"
    by_line = True

    def __init__(self, step: str | None = None) -> None:
        self.step = step

    def accepts(self, head: bytes) -> bool:
        """Tell whether a value near the start is an observation."""
        return any(_is_observation(found) for found in first_rows(head))

    def read(self, log: Log | Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Yield the calls in batches; a broken value is refused with its line."""
        log = Source.of(log)
        return read_values(
            log,
            self._parse,
            form=self.name,
            unpack=unpack,
            batch_rows=batch_rows,
            cut=cut_by(log.head()),
        )

    def _parse(self, value: bytes, reading: Reading) -> list[tuple[Row, Any]]:
        told = msgspec.json.decode(value)
        if not isinstance(told, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 - a line's fault, not the caller's
        if isinstance(told.get("observations"), list):  # a trace with its observations
            inner = [_with_trace(one, told) for one in told["observations"]]
        else:
            inner = [told]
        found = [(self._call(one, reading), one) for one in inner]
        return [(row, msgspec.json.encode(one)) for row, one in found if row is not None]

    def _call(self, told: Mapping[str, Any], reading: Reading) -> Row | None:
        kind = CALLS.get(str(told.get("type")).upper())
        if kind is None:
            reading.note("observations that are no call of a model")
            return None
        row = Row(
            id=word(told.get("id")),
            trace=word(_of(told, "trace_id", "traceId")),
            session=word(_of(told, "session_id", "sessionId")) or None,
            parent=word(_of(told, "parent_observation_id", "parentObservationId")),
            user=word(_of(told, "user_id", "userId")),
            model=word(_of(told, "provided_model_name", "providedModelName", "model")),
            kind=kind,
            prompt=word(_of(told, "prompt_name", "promptName")),
            cost_usd=_cost(told),
        )
        row.asked_model = row.model
        _usage(row, told)
        _parameters(row, told)
        _times(row, told, reading)
        if str(told.get("level")).upper() == "ERROR":
            row.status = "error"
            row.error = (word(_of(told, "status_message", "statusMessage")) or "error")[:80]
        self._named(row, told)
        return row

    def _named(self, row: Row, told: Mapping[str, Any]) -> None:
        name = word(told.get("name"))
        own = None if name is None or name.lower() in USUAL else name
        names = {
            "prompt_name": row.prompt,
            "generation_name": own or word(_of(told, "trace_name", "traceName")),
        }
        tags = unpacked(told.get("tags"))
        name_row(
            row,
            self.step,
            (_metadata(told),),
            names={key: value for key, value in names.items() if value},
            tags=tags if isinstance(tags, list) else (),
        )
        row.session = row.session or row.trace


def unpack(value: bytes) -> Content:
    """Return what an observation says."""
    told = msgspec.json.decode(value)
    asked = unpacked(told.get("input"))
    if not (isinstance(asked, dict) and ("messages" in asked or "prompt" in asked)):
        asked = {"messages": asked}
    parameters = mapping(unpacked(_of(told, "model_parameters", "modelParameters")))
    return content_of({**parameters, **asked}, told.get("output"), _metadata(told))


def _is_observation(found: Mapping[str, Any]) -> bool:
    if isinstance(found.get("observations"), list):
        return "projectId" in found or "htmlPath" in found or "latency" in found
    named = "trace_id" in found or "traceId" in found
    return named and "type" in found and ("start_time" in found or "startTime" in found)


def _with_trace(one: Mapping[str, Any], trace: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "traceId": trace.get("id"),
        "sessionId": trace.get("sessionId"),
        "userId": trace.get("userId"),
        "traceName": trace.get("name"),
        "tags": trace.get("tags"),
        **one,
    }


def _of(told: Mapping[str, Any], *names: str) -> Any:
    return next((told[name] for name in names if told.get(name) not in (None, "")), None)


def _metadata(told: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(mapping(unpacked(told.get("metadata"))))
    inner = mapping(unpacked(found.get("attributes")))  # what an OpenTelemetry export kept
    return {**inner, **found}


def _cost(told: Mapping[str, Any]) -> float | None:
    details = mapping(unpacked(_of(told, "cost_details", "costDetails")))
    total = _of(told, "total_cost", "totalCost", "calculatedTotalCost", "calculated_total_cost")
    cost = amount("cost", details.get("total") if total is None else total)
    # Langfuse writes 0 where it knows no price.
    return None if cost == 0 else cost


def _usage(row: Row, told: Mapping[str, Any]) -> None:
    details = mapping(unpacked(_of(told, "usage_details", "usageDetails")))
    usage = mapping(unpacked(told.get("usage")))
    counts = {
        name: count(name, value) for name, value in (details or usage).items() if _whole(value)
    }
    plain = _part(counts, ("input", "prompt_tokens", "promptTokens", "input_tokens"))
    row.output_tokens = _part(counts, ("output", "completion_tokens", "completionTokens"))
    row.cached_tokens = _part(counts, _CACHED)
    written = [_part(counts, names) for names in (_WRITTEN, _WRITTEN_5M, _WRITTEN_1H)]
    row.cache_write_1h_tokens = written[2]
    row.cache_write_tokens = _total(written[1:]) if written[0] is None else written[0]
    row.reasoning_tokens = _part(counts, _REASONING)
    beside = (row.cached_tokens or 0) + (row.cache_write_tokens or 0)
    thought = row.reasoning_tokens or 0
    if plain is None or row.output_tokens is None:
        row.input_tokens = plain
        return
    whole = counts.get("total") == plain + row.output_tokens and (beside or thought)
    row.input_tokens = plain if whole else plain + beside
    if not whole and row.reasoning_tokens is not None:
        row.output_tokens += thought


def _whole(value: Any) -> bool:
    return (
        isinstance(value, int | float | str) and not isinstance(value, bool) and value != "TOKENS"
    )


def _part(counts: Mapping[str, int | None], names: tuple[str, ...]) -> int | None:
    return next((counts[name] for name in names if counts.get(name) is not None), None)


def _total(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _parameters(row: Row, told: Mapping[str, Any]) -> None:
    found = mapping(unpacked(_of(told, "model_parameters", "modelParameters")))
    limit = _of(found, "max_completion_tokens", "max_tokens", "maxTokens")
    row.max_tokens = count("max_tokens", limit) if _whole(limit) else None
    row.temperature = amount("temperature", found.get("temperature"))
    row.effort = word(found.get("reasoning_effort"))
    row.shape = word(mapping(unpacked(found.get("response_format"))).get("type"))
    row.processing = processed(word(found.get("service_tier")))
    asked = unpacked(told.get("input"))
    tools = unpacked(found.get("tools")) or (
        asked.get("tools") if isinstance(asked, dict) else None
    )
    offered(row, msgspec.json.encode(tools) if isinstance(tools, list) else b"")


def _times(row: Row, told: Mapping[str, Any], reading: Reading) -> None:
    start = moment(_of(told, "start_time", "startTime"))
    end = moment(_of(told, "end_time", "endTime"))
    first = moment(_of(told, "completion_start_time", "completionStartTime"))
    row.at_s, row.latency_s = start, between(start, end)
    row.first_token_s = between(start, first)
    if start is not None and end is not None and end < start:
        reading.note("calls that ended before they began (their latency is unknown)")
