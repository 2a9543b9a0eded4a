"""LiteLLM's two logs: StandardLoggingPayload (what its callbacks write) and the table SpendLogs.

Follows "StandardLoggingPayload Specification" (LiteLLM proxy documentation) and the model
`LiteLLM_SpendLogs` of its schema.prisma, as of November 2026. Traps: `response_time` is the time
to the first token when streaming, so it is not read: latency is `endTime - startTime`. A cost of 0
with tokens means that LiteLLM knows no price. SpendLogs keeps metadata and tags as JSON inside
strings, and no content unless storing prompts was switched on: then only costs can be audited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.adapters.logs.cells import flag, mapping
from stepdown.adapters.logs.csv_rows import csv_values, cut_by, first_rows
from stepdown.adapters.logs.moments import between, moment
from stepdown.adapters.logs.names import name_row
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading, read_values
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.said import content_of, unpacked
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.wire import (
    Amount,
    Count,
    WireRequest,
    WireResponse,
    WireUsage,
    error_kind,
    first,
    processed,
)
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Content
from stepdown.ports.log_reader import Log

PAYLOAD = {"startTime", "call_type", "response_cost"}
SPEND = {"request_id", "startTime", "spend"}
KINDS = {"completion": "chat", "embedding": "embeddings", "responses": "chat"}
# What is logged but is no call of a model.
NO_CALL = frozenset(("/health/liveness", "/health/readiness", "/models", "pass_through_endpoint"))


class _Row(Struct):
    """A payload or a row of SpendLogs."""

    id: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    session_id: str | None = None
    call_type: str | None = None
    response_cost: Amount | None = None
    spend: Amount | None = None
    status: str | None = None
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    startTime: float | str | None = None  # noqa: N815 - the wire's name
    endTime: float | str | None = None  # noqa: N815
    completionStartTime: float | str | None = None  # noqa: N815
    request_duration_ms: Amount | None = None
    stream: bool | None = None
    custom_llm_provider: str | None = None
    model: str | None = None
    model_group: str | None = None
    metadata: Any = None
    request_tags: Any = None
    cache_hit: Any = None
    end_user: str | None = None
    error_str: str | None = None
    error_information: Any = None
    response: Any = None
    model_parameters: Any = None


class LiteLLM:
    """Read payloads and spend logs; `step` names every call (the user's flag)."""

    name = "LiteLLM StandardLoggingPayload or SpendLogs (documentation, November 2026)"
    by_line = True

    def __init__(self, step: str | None = None) -> None:
        self.step = step
        self._decoder = msgspec.json.Decoder(_Row)

    def accepts(self, head: bytes) -> bool:
        """Tell whether a value near the start has the fields of a payload or a spend log."""
        return any(set(found) >= PAYLOAD or set(found) >= SPEND for found in first_rows(head))

    def read(self, log: Log | Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Yield the calls in batches; a broken line is refused with its place."""
        log = Source.of(log)
        cut = cut_by(log.head())
        return read_values(
            log,
            self._parse_cells if cut is csv_values else self._parse,
            form=self.name,
            unpack=unpack,
            batch_rows=batch_rows,
            cut=cut,
        )

    def _parse(self, value: bytes, reading: Reading) -> list[tuple[Row, Any]]:
        told = self._decoder.decode(value)
        return self._found(told, value, reading)

    def _parse_cells(self, value: bytes, reading: Reading) -> list[tuple[Row, Any]]:
        cells = {name: cell for name, cell in msgspec.json.decode(value).items() if cell != ""}
        return self._found(msgspec.convert(cells, _Row, strict=False), value, reading)

    def _found(self, told: _Row, value: bytes, reading: Reading) -> list[tuple[Row, Any]]:
        if told.startTime is None and told.model is None:
            raise ValueError("neither startTime nor model: not a row of LiteLLM")
        if told.call_type in NO_CALL:
            reading.note(f"rows that are no call of a model ({told.call_type})")
            return []
        return [(self._call(told, reading), value)]

    def _call(self, told: _Row, reading: Reading) -> Row:
        row = Row(
            id=told.id or told.request_id,
            session=told.session_id or None,
            trace=told.trace_id,
            provider=told.custom_llm_provider or None,
            kind=_kind(told.call_type),
            user=told.end_user or None,
            from_cache=flag(told.cache_hit if told.cache_hit not in ("None", "") else None),
        )
        self._asked(row, told)
        metadata = mapping(unpacked(told.metadata))
        self._answered(row, told, metadata)
        _times(row, told, reading)
        row.cost_usd = _cost(told, row)
        fields = (*_fields(metadata), {"trace_id": told.trace_id})
        name_row(row, self.step, fields, tags=_tags(told.request_tags))
        return row

    def _asked(self, row: Row, told: _Row) -> None:
        parameters = unpacked(told.model_parameters)
        if isinstance(parameters, dict):
            kept = msgspec.json.encode(parameters)
            msgspec.json.decode(kept, type=WireRequest).into(row)
        row.asked_model = told.model_group or told.model
        row.stream = first(told.stream, row.stream)
        row.model = told.model

    def _answered(self, row: Row, told: _Row, metadata: Mapping[str, Any]) -> None:
        body = unpacked(told.response)
        answered = _convert(body, WireResponse)
        if answered is not None:
            kind, asked = row.kind, row.asked_model
            answered.into(row)
            row.kind, row.asked_model = kind or row.kind, asked
            row.model = told.model or row.model
        usage = _convert(
            metadata.get("usage_object") or metadata.get("additional_usage_values"), WireUsage
        )
        if usage is not None and row.cached_tokens is None:
            usage.into(row)
        # A failed call is logged with zero tokens; that is a count, and it is what was billed.
        row.input_tokens = first(told.prompt_tokens, row.input_tokens)
        row.output_tokens = first(told.completion_tokens, row.output_tokens)
        row.processing = processed(None if answered is None else answered.tier)
        if told.status not in (None, "", "success"):
            row.status, row.error = "error", _error(told, metadata)


def unpack(value: bytes) -> Content:
    """Return what a line says."""
    told = msgspec.json.decode(value)
    asked = mapping(unpacked(told.get("proxy_server_request")))
    asked = {**asked, **mapping(unpacked(told.get("model_parameters")))}
    messages = unpacked(told.get("messages"))
    if messages not in (None, "", {}, []):
        asked = {**asked, "messages": messages}
    metadata = mapping(unpacked(told.get("metadata")))
    merged: dict[str, Any] = {}
    for fields in reversed(_fields(metadata)):
        merged |= fields
    response = unpacked(told.get("response"))
    return content_of(asked, None if response == {} else response, merged)


def _kind(call_type: str | None) -> str | None:
    if call_type is None:
        return None
    plain = call_type.removeprefix("a")
    return KINDS.get(plain, plain or None)


def _fields(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the metadata that callers set, then the gateway's own."""
    inner = [unpacked(metadata.get(key)) for key in ("requester_metadata", "spend_logs_metadata")]
    own = {name: value for name, value in metadata.items() if not name.startswith("user_api_key")}
    return [*(field for field in inner if isinstance(field, dict)), own]


def _tags(tags: Any) -> list[str]:
    found = unpacked(tags)
    listed = found if isinstance(found, list) else []
    # The gateway adds tags of its own.
    return [str(tag) for tag in listed if not str(tag).startswith("User-Agent:")]


def _convert(value: Any, kind: Any) -> Any:
    if not isinstance(value, dict) or not value:
        return None
    try:
        # By bytes: what stays raw in a body (calls of tools) cannot be converted from values.
        return msgspec.json.decode(msgspec.json.encode(value), type=kind)
    except msgspec.ValidationError:
        return None


def _times(row: Row, told: _Row, reading: Reading) -> None:
    start, end = moment(told.startTime), moment(told.endTime)
    row.at_s, row.latency_s = start, between(start, end)
    if start is not None and end is not None and end < start:
        reading.note("calls that ended before they began (their latency is unknown)")
    if row.latency_s is None and told.request_duration_ms is not None and end is None:
        row.latency_s = told.request_duration_ms / 1000
    if row.stream and told.completionStartTime:
        row.first_token_s = between(start, moment(told.completionStartTime))


def _cost(told: _Row, row: Row) -> float | None:
    cost = first(told.response_cost, told.spend)
    # LiteLLM writes 0 when it does not know a model's price.
    billed = bool(told.prompt_tokens or told.completion_tokens) and not row.from_cache
    return None if cost == 0 and billed else cost


def _error(told: _Row, metadata: Mapping[str, Any]) -> str:
    inner = unpacked(told.error_information) or metadata.get("error_information")
    if isinstance(inner, dict) and inner:
        return error_kind({"code": inner.get("error_class") or inner.get("error_code")})
    return error_kind(told.error_str) if told.error_str else str(told.status)
