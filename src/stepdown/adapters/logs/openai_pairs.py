"""OpenAI request and response pairs, one JSON object a line; also stored completions.

A pair: {"request": {chat.completions body}, "response": {chat.completion object}, and around them,
all optional: "id", "timestamp" or "created" (ISO 8601 or seconds or milliseconds since 1970),
"provider", "metadata" (string keys: `step` or `task` names the step; `message_id` or `session_id`
the message it belongs to), "headers", "tags", "latency_s" or "latency_ms", "first_token_s",
"cost_usd" (what was billed), "status", "error"}.

A stored completion: a `chat.completion` object with the request's "messages" and "metadata".
Follows the OpenAI API reference, "Chat completions", as of November 2026. Batch API output is
refused: it holds no requests, and is billed differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from stepdown.adapters.logs.chat import (
    WireMessage,
    WireRequest,
    WireResponse,
    answer_of,
    usage_of,
)
from stepdown.adapters.logs.heads import first_objects
from stepdown.adapters.logs.lines import read_lines
from stepdown.adapters.logs.moments import iso
from stepdown.adapters.logs.names import header_fields, session_of, step_of
from stepdown.core.usage_log import Batch, LoggedCall

Seconds = Annotated[float, Meta(ge=0)]
# An embedding's response is a "list".
OBJECTS = (None, "chat.completion", "text_completion", "list")
STANDARD_TIERS = (None, "auto", "default", "standard")


class _Row(WireResponse, kw_only=True):
    """A line: a pair, or a stored completion (then the response's fields stand at the top)."""

    custom_id: str | None = None
    request: WireRequest | None = None
    response: WireResponse | None = None
    messages: list[WireMessage] | None = None
    timestamp: float | str | None = None
    provider: str | None = None
    metadata: dict[str, Any] | None = None
    headers: dict[str, Any] | None = None
    tags: list[str] | None = None
    step: str | None = None
    task: str | None = None
    session_id: str | None = None
    message_id: str | None = None
    latency_s: Seconds | None = None
    latency_ms: Seconds | None = None
    first_token_s: Seconds | None = None
    cost_usd: Seconds | None = None
    status: str | int | None = None


class OpenAIPairs:
    """Read pairs and stored completions; `step` names every call (the user's flag)."""

    name = "OpenAI request/response pairs (API reference, November 2026)"

    def __init__(self, step: str | None = None) -> None:
        self.step = step
        self._decoder = msgspec.json.Decoder(_Row)

    def accepts(self, first: bytes) -> bool:
        """Tell whether a line near the start is a pair or a stored completion."""
        return any(_is_pair(found) for found in first_objects(first))

    def read(self, path: Path, *, batch_rows: int = 4096) -> Iterator[Batch]:
        """Yield the file's rows in batches; a broken row is refused with its line."""
        return read_lines(path, self._parse, batch_rows, frozenset(_Row.__struct_fields__))

    def _parse(self, line: bytes, place: str) -> list[LoggedCall]:
        row = self._decoder.decode(line)
        if row.object == "chat.completion":
            return [self._call(row, _asked(row), row, place)]
        if row.custom_id is not None and row.request is None:
            raise ValueError("a line of the Batch API, which holds only half of a call")
        if row.request is None:
            raise ValueError('no "request": not a request/response pair')
        _refuse_other_wires(row.response)
        return [self._call(row, row.request, row.response, place)]

    def _call(
        self, row: _Row, asked: WireRequest, response: WireResponse | None, place: str
    ) -> LoggedCall:
        step, rule = self._step(row, asked)
        at = row.timestamp if row.timestamp is not None else row.created
        if at is None and response is not None:
            at = response.created
        return LoggedCall(
            id=row.id or (response.id if response else None) or place,
            at=iso(at),
            provider=row.provider,
            model=_model(asked, response),
            step=step,
            step_rule=rule,
            session=session_of(_own(row), row.metadata, asked.metadata, header_fields(row.headers)),
            messages=_messages(asked),
            answer=None if response is None else answer_of(response),
            usage=usage_of(response),
            latency_s=_latency(row),
            first_token_s=row.first_token_s,
            cost_usd=row.cost_usd,
            status=_status(row, response),
            tools=len(asked.tools or ()),
            max_tokens=asked.max_completion_tokens or asked.max_tokens,
            source=place,
        )

    def _step(self, row: _Row, asked: WireRequest) -> tuple[str | None, str | None]:
        own = {"step": row.step, "task": row.task}
        fields = (own, header_fields(row.headers), row.metadata or {}, asked.metadata or {})
        return step_of(flag=self.step, fields=fields, tags=row.tags or ())


def _refuse_other_wires(response: WireResponse | None) -> None:
    """Refuse responses of other wires: their token counts mean something else."""
    if response is None:
        return
    if response.type == "message":
        raise ValueError("a response of the Anthropic Messages API, which is not read yet")
    if response.object not in OBJECTS:
        raise ValueError(f"a response of kind {response.object!r}, which is not read yet")


def _is_pair(found: dict[str, Any]) -> bool:
    asked = found.get("request")
    if isinstance(asked, dict):
        return "messages" in asked or "model" in asked
    return found.get("object") == "chat.completion"


def _asked(row: _Row) -> WireRequest:
    return WireRequest(model=row.model, messages=row.messages)


def _own(row: _Row) -> dict[str, Any]:
    return {"message_id": row.message_id, "session_id": row.session_id}


def _messages(asked: WireRequest) -> Any:
    return None if asked.messages is None else tuple(m.message() for m in asked.messages)


def _latency(row: _Row) -> float | None:
    if row.latency_s is None and row.latency_ms is not None:
        return row.latency_ms / 1000
    return row.latency_s


def _model(asked: WireRequest, response: WireResponse | None) -> str | None:
    """Return the model; flex and priority stand beside it, so that nobody prices it as standard."""
    model = (response.model if response else None) or asked.model
    tier = (response.service_tier if response else None) or asked.service_tier
    return model if model is None or tier in STANDARD_TIERS else f"{model} [{tier}]"


def _status(row: _Row, response: WireResponse | None) -> str:
    if row.error is not None or (response is not None and response.error is not None):
        return "error"
    if isinstance(row.status, int):
        return "ok" if row.status < 400 else "error"
    if row.status is not None:
        return "ok" if row.status.lower() in ("ok", "success", "completed") else row.status
    return "error" if response is None else "ok"
