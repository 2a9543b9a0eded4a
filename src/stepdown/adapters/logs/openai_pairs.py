"""Requests with their responses, one JSON object each; also stored completions and responses.

A pair: {"request": {body}, "response": {body}, and around them, all optional: "id", "timestamp" or
"created" (ISO 8601 or a number since 1970), "provider", "metadata" (string keys: `step` or `task`
names the step; `message_id` or `session_id` the message it belongs to), "headers", "tags",
"latency_s" or "latency_ms", "first_token_s", "cost_usd" (what was billed), "status", "error",
"retries"}. Bodies are those of OpenAI's Chat Completions and Responses and of Anthropic's Messages,
told apart by their content.

A stored completion is a `chat.completion` object with the request's "messages" and "metadata"; a
stored response is a `response` object, with or without its "input". Both know no latency, but a
response tells when it was completed. Follows the OpenAI API reference ("Chat completions",
"Responses") and the Anthropic API reference ("Messages"), as of November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.adapters.logs.moments import between, moment
from stepdown.adapters.logs.names import header_fields, name_row
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading, read_values
from stepdown.adapters.logs.records import first_objects
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.said import content_of
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.wire import (
    Amount,
    WireRequest,
    WireResponse,
    error_kind,
    first,
    processed,
)
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Content
from stepdown.ports.log_reader import Log

# What is a call by itself, and what a pair's response may be (an embedding's is a "list").
STORED = ("chat.completion", "response")
OBJECTS = (None, *STORED, "text_completion", "list", "chat.completion.chunk")
OK_WORDS = ("ok", "success", "succeeded", "completed", "complete", "200")


class _Row(Struct, gc=False):
    """The line of a pair."""

    id: str | int | None = None
    object: str | None = None
    custom_id: str | None = None
    request: WireRequest | None = None
    response: WireResponse | None = None
    created: float | str | None = None
    timestamp: float | str | None = None
    provider: str | None = None
    metadata: dict[str, Any] | None = None
    headers: dict[str, Any] | None = None
    tags: list[str] | None = None
    step: str | None = None
    task: str | None = None
    session_id: str | None = None
    message_id: str | None = None
    latency_s: Amount | None = None
    latency_ms: Amount | None = None
    first_token_s: Amount | None = None
    cost_usd: Amount | None = None
    status: str | int | None = None
    error: Any = None
    retries: int | None = None


class _Stored(Struct, gc=False):
    """What stands beside a stored completion's response."""

    metadata: dict[str, Any] | None = None


KNOWN = frozenset(_Row.__struct_fields__)


class OpenAIPairs:
    """Read pairs and stored completions; `step` names every call (the user's flag)."""

    name = (
        "OpenAI and Anthropic request/response pairs, stored completions and responses"
        " (API references, November 2026)"
    )
    by_line = True

    def __init__(self, step: str | None = None) -> None:
        self.step = step
        self._pair = msgspec.json.Decoder(_Row)
        self._request = msgspec.json.Decoder(WireRequest)
        self._response = msgspec.json.Decoder(WireResponse)
        self._stored = msgspec.json.Decoder(_Stored)

    def accepts(self, head: bytes) -> bool:
        """Tell whether a value near the start is a pair or a stored completion."""
        return any(_is_pair(found) for found in first_objects(head))

    def read(self, log: Log | Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Yield the calls in batches; a broken line is refused with its place."""
        return read_values(
            Source.of(log),
            self._parse,
            form=self.name,
            unpack=unpack,
            batch_rows=batch_rows,
            known=KNOWN,
        )

    def _parse(self, value: bytes, reading: Reading) -> list[tuple[Row, Any]]:
        told = self._pair.decode(value)
        if told.object in STORED:
            return [(self._stored_call(value), value)]
        if told.request is None:
            raise ValueError(
                "a line of the Batch API without its other half"
                if told.custom_id is not None
                else 'no "request": not a request/response pair'
            )
        if told.response is not None and told.response.object not in OBJECTS:
            raise ValueError(f"a response of kind {told.response.object!r}, which nobody knows")
        return [(self._call(told, told.request, told.response), value)]

    def _call(self, told: _Row, asked: WireRequest, answered: WireResponse | None) -> Row:
        row = Row(
            id=_id(told, answered),
            provider=told.provider,
            latency_s=_latency(told),
            first_token_s=told.first_token_s,
            cost_usd=told.cost_usd,
            retries=told.retries,
        )
        asked.into(row)
        row.model = asked.model
        if answered is not None:
            answered.into(row)
            row.provider = row.provider or answered.provider
        row.at_s = moment(first(told.timestamp, told.created))
        if row.at_s is None and answered is not None:
            row.at_s = answered.at_s
        tier = None if answered is None else answered.tier
        row.processing = processed(tier, asked.service_tier)
        _end(row, told, answered)
        own = _own(told)
        name_row(
            row,
            self.step,
            (own, header_fields(told.headers), told.metadata, asked.metadata),
            tags=told.tags or (),
        )
        return row

    def _stored_call(self, value: bytes) -> Row:
        asked, answered = self._request.decode(value), self._response.decode(value)
        row = Row(id=answered.id)
        asked.into(row)
        answered.into(row)
        row.at_s = answered.at_s
        row.latency_s = between(row.at_s, moment(answered.completed_at))
        row.processing = processed(answered.tier)
        if answered.status in ("failed", "cancelled"):
            row.status = "error"
            row.error = row.error or str(answered.status)
        name_row(row, self.step, (self._stored.decode(value).metadata,))
        return row


def unpack(value: bytes) -> Content:
    """Return what a line says."""
    told = msgspec.json.decode(value)
    if told.get("object") in STORED:
        return content_of(told, told, told.get("metadata"))
    return content_of(told.get("request"), told.get("response"), told.get("metadata"))


def _is_pair(found: dict[str, Any]) -> bool:
    asked = found.get("request")
    if isinstance(asked, dict):
        return "messages" in asked or "model" in asked or "input" in asked
    return found.get("object") in STORED


def _id(told: _Row, answered: WireResponse | None) -> str | None:
    found = told.id if told.id is not None else (None if answered is None else answered.id)
    return None if found is None else str(found)


def _own(told: _Row) -> dict[str, Any] | None:
    if told.step is told.task is told.message_id is told.session_id is None:
        return None  # nearly every line
    found = {
        "step": told.step,
        "task": told.task,
        "message_id": told.message_id,
        "session_id": told.session_id,
    }
    return {name: value for name, value in found.items() if value is not None}


def _latency(told: _Row) -> float | None:
    if told.latency_s is None and told.latency_ms is not None:
        return told.latency_ms / 1000
    return told.latency_s


def _end(row: Row, told: _Row, answered: WireResponse | None) -> None:
    """Write whether the call failed, and how, into its row."""
    if told.error is not None:
        row.status, row.error = "error", error_kind(told.error)
    elif isinstance(told.status, int):
        if told.status >= 400:
            row.status, row.error = "error", row.error or f"http {told.status}"
    elif told.status is not None:
        if told.status.lower() not in OK_WORDS:
            row.status, row.error = "error", row.error or told.status
    elif answered is None:
        row.status, row.error = "error", "no response"
    elif answered.status in ("failed", "cancelled"):
        row.status, row.error = "error", row.error or str(answered.status)
