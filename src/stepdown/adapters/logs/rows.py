"""One call as a reader finds it, before many become the columns of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from msgspec import Struct

from stepdown.core.call_columns import Column, column


class Row(Struct, kw_only=True, gc=False):
    """What a log says of one call; the fields and units of `core/call_columns.py`."""

    id: str | None = None
    session: str | None = None
    trace: str | None = None
    parent: str | None = None
    provider: str | None = None
    model: str | None = None
    asked_model: str | None = None
    step: str | None = None
    step_rule: str | None = None
    processing: str | None = None
    kind: str | None = None
    status: str = "ok"
    error: str | None = None
    finish: str | None = None
    effort: str | None = None
    shape: str | None = None
    tool_names: str | None = None
    tags: str | None = None
    prompt: str | None = None
    user: str | None = None
    at_s: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    cached_tokens: float | None = None
    cache_write_tokens: float | None = None
    cache_write_1h_tokens: float | None = None
    reasoning_tokens: float | None = None
    cost_usd: float | None = None
    latency_s: float | None = None
    first_token_s: float | None = None
    max_tokens: float | None = None
    temperature: float | None = None
    choices: float | None = None
    stream: float | None = None
    tools: float | None = None
    tools_bytes: float | None = None
    tool_calls: float | None = None
    retries: float | None = None
    from_cache: float | None = None
    estimated: float | None = None
    line: float | None = None


_NAMES = Row.__struct_fields__
_VALUES = attrgetter(*_NAMES)


def columns_of(rows: Sequence[Row]) -> dict[str, Column]:
    """Return rows as columns; a field that no row tells has none."""
    told: Any = zip(*map(_VALUES, rows), strict=True)
    return {
        name: column(name, values)
        for name, values in zip(_NAMES, told, strict=False)
        if values.count(None) < len(values)
    }
