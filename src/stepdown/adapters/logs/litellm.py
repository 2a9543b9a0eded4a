"""LiteLLM's StandardLoggingPayload, one JSON object a line.

Follows "StandardLoggingPayload Specification" (LiteLLM proxy documentation, as of November 2026).
`response_time` is the time to the first token when streaming, so the latency is taken from
`endTime - startTime`. Content is there only when storing prompts was switched on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from stepdown.adapters.logs.chat import Count, WireMessage, WireResponse, answer_of, usage_of
from stepdown.adapters.logs.heads import first_objects
from stepdown.adapters.logs.lines import read_lines
from stepdown.adapters.logs.moments import epoch_s, iso
from stepdown.adapters.logs.names import session_of, step_of
from stepdown.core.request import Message, Usage
from stepdown.core.usage_log import Batch, LoggedCall

SURE = {"startTime", "call_type", "response_cost"}


class _Row(Struct):
    id: str | None = None
    trace_id: str | None = None
    call_type: str | None = None
    response_cost: Annotated[float, Meta(ge=0)] | None = None
    status: str | None = None
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    startTime: float | str | None = None  # noqa: N815 - the wire's name
    endTime: float | str | None = None  # noqa: N815
    completionStartTime: float | str | None = None  # noqa: N815
    stream: bool | None = None
    custom_llm_provider: str | None = None
    model: str | None = None
    metadata: Any = None
    request_tags: Any = None
    messages: Any = None
    response: Any = None
    model_parameters: dict[str, Any] | None = None


class LiteLLM:
    """Read payloads; `step` names every call (the user's flag)."""

    name = "LiteLLM StandardLoggingPayload (documentation, November 2026)"

    def __init__(self, step: str | None = None) -> None:
        self.step = step
        self._decoder = msgspec.json.Decoder(_Row)

    def accepts(self, first: bytes) -> bool:
        """Tell whether a line near the start has the payload's own fields."""
        return any(set(found) >= SURE for found in first_objects(first))

    def read(self, path: Path, *, batch_rows: int = 4096) -> Iterator[Batch]:
        """Yield the file's rows in batches; a broken row is refused with its line."""
        return read_lines(path, self._parse, batch_rows)

    def _parse(self, line: bytes, place: str) -> list[LoggedCall]:
        row = self._decoder.decode(line)
        if row.startTime is None and row.model is None:
            raise ValueError("neither startTime nor model: not a StandardLoggingPayload")
        response = _response(row.response)
        parameters = row.model_parameters or {}
        metadata = _unpacked(row.metadata)
        step, rule = step_of(flag=self.step, fields=_fields(metadata), tags=_tags(row.request_tags))
        call = LoggedCall(
            id=row.id or place,
            at=iso(row.startTime),
            provider=row.custom_llm_provider,
            model=row.model,
            step=step,
            step_rule=rule,
            session=session_of(*_fields(metadata), {"trace_id": row.trace_id}),
            messages=_messages(row.messages),
            answer=_answer(row.response, response),
            usage=_usage(row, response),
            latency_s=_between(row.startTime, row.endTime),
            first_token_s=_first_token(row),
            cost_usd=_cost(row),
            status="ok" if row.status in (None, "success") else "error",
            tools=len(parameters.get("tools") or ()),
            max_tokens=parameters.get("max_tokens"),
            source=place,
        )
        return [call]


def _unpacked(value: Any) -> Any:
    """Return a value that may be JSON inside a string."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _fields(metadata: Any) -> list[dict[str, Any]]:
    """Return the metadata that callers set, then the gateway's own."""
    if not isinstance(metadata, dict):
        return []
    inner = [metadata.get(key) for key in ("requester_metadata", "spend_logs_metadata")]
    return [*(field for field in inner if isinstance(field, dict)), metadata]


def _tags(tags: Any) -> list[str]:
    found = _unpacked(tags)
    return [str(tag) for tag in found] if isinstance(found, list) else []


def _messages(value: Any) -> tuple[Message, ...] | None:
    said = _unpacked(value)
    if isinstance(said, str) and said:
        return (Message("user", said),)
    if not isinstance(said, list) or not said:
        return None
    return tuple(message.message() for message in msgspec.convert(said, list[WireMessage]))


def _response(value: Any) -> WireResponse | None:
    found = _unpacked(value)
    return msgspec.convert(found, WireResponse) if isinstance(found, dict) else None


def _answer(raw: Any, response: WireResponse | None) -> str | None:
    if response is None:
        return raw if isinstance(raw, str) and raw else None
    return answer_of(response)


def _usage(row: _Row, response: WireResponse | None) -> Usage:
    told = usage_of(response)
    counted = row.prompt_tokens, row.completion_tokens
    # A failed call is logged with zero tokens; that is a count, and it is what was billed.
    return msgspec.structs.replace(
        told,
        input_tokens=told.input_tokens if counted[0] is None else counted[0],
        output_tokens=told.output_tokens if counted[1] is None else counted[1],
    )


def _cost(row: _Row) -> float | None:
    # LiteLLM writes 0 when it does not know a model's price.
    billed = bool(row.prompt_tokens or row.completion_tokens)
    return None if row.response_cost == 0 and billed else row.response_cost


def _between(start: float | str | None, end: float | str | None) -> float | None:
    if start is None or end is None:
        return None
    seconds = epoch_s(end) - epoch_s(start)
    return seconds if seconds >= 0 else None


def _first_token(row: _Row) -> float | None:
    return _between(row.startTime, row.completionStartTime) if row.stream else None
