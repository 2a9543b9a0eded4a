"""Portkey's log export: one JSON object a line.

Follows "Logs Export" (Portkey documentation, with its column table) and `requested_data` of "Create
a Log Export" (API reference), as of November 2026. Traps: `cost` is in cents; `response_time` is in
milliseconds; Portkey writes 0 where it knows no price; only the columns that were asked for are
there, so nearly all may be missing. Not verified: whether bodies and metadata are objects, JSON in
strings or columns with a dot in their name (all three are read), and whether `req_units` of
Anthropic holds what the cache gave and took (the body's own usage is taken where there is one).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.logs.bodies import bodies_into
from stepdown.adapters.logs.cells import amount, count, flag, mapping, word
from stepdown.adapters.logs.csv_rows import cut_by, first_rows
from stepdown.adapters.logs.moments import moment
from stepdown.adapters.logs.names import name_row
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading, read_values
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.said import content_of, unpacked
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.wire import first
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Content
from stepdown.ports.log_reader import Log

MODEL = {"ai_model", "ai_org"}
# One of these beside the model's columns; nobody else has them.
OWN = {
    "req_units",
    "res_units",
    "cost_currency",
    "is_success",
    "response_status_code",
    "prompt_slug",
}
PROVIDERS = {"azure-openai": "azure", "bedrock": "aws", "vertex-ai": "google"}


class Portkey:
    """Read exported logs; `step` names every call (the user's flag)."""

    name = "Portkey log export (documentation, November 2026)"
    by_line = True

    def __init__(self, step: str | None = None) -> None:
        self.step = step

    def accepts(self, head: bytes) -> bool:
        """Tell whether a value near the start has Portkey's columns."""
        return any(MODEL & set(found) and OWN & set(found) for found in first_rows(head))

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
        if not isinstance(told, dict) or not (MODEL & set(told)):
            raise ValueError("neither ai_model nor ai_org: not a log of Portkey")
        return [(self._call(told, reading), value)]

    def _call(self, told: Mapping[str, Any], reading: Reading) -> Row:
        row = Row(id=word(told.get("id")))
        bodies_into(row, _body(told, "request"), _body(told, "response"))
        provider = word(told.get("ai_org"))
        row.provider = None if provider is None else PROVIDERS.get(provider, provider)
        row.at_s = first(moment(told.get("created_at")), row.at_s)
        row.model = word(told.get("ai_model")) or row.model
        row.asked_model = row.asked_model or row.model
        row.input_tokens = first(row.input_tokens, count("req_units", told.get("req_units")))
        row.output_tokens = first(row.output_tokens, count("res_units", told.get("res_units")))
        took_ms = amount("response_time", told.get("response_time"))
        row.latency_s = None if took_ms is None else took_ms / 1000
        row.stream = first(row.stream, flag(told.get("stream_mode")))
        row.retries = count("retry_success_count", told.get("retry_success_count"))
        row.from_cache = _from_cache(told.get("cache_status"))
        row.cost_usd = _cost(row, told, reading)
        _end(row, told)
        self._named(row, told)
        return row

    def _named(self, row: Row, told: Mapping[str, Any]) -> None:
        metadata = metadata_of(told)
        row.trace = word(told.get("trace_id"))
        row.prompt = word(told.get("prompt_slug"))
        row.user = word(metadata.get("_user"))
        names = {} if row.prompt is None else {"prompt_name": row.prompt}
        name_row(row, self.step, (metadata,), names=names)
        row.session = row.session or row.trace


def unpack(value: bytes) -> Content:
    """Return what a log says."""
    told = msgspec.json.decode(value)
    return content_of(_body(told, "request"), _body(told, "response"), metadata_of(told))


def metadata_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the caller wrote beside the call."""
    dotted = {
        name.removeprefix("metadata."): cell
        for name, cell in told.items()
        if name.startswith("metadata.") and cell not in (None, "")
    }
    return {**mapping(unpacked(told.get("metadata"))), **dotted}


def _body(told: Mapping[str, Any], side: str) -> Any:
    """Return a body: in a column of its own, inside `request`, or as it."""
    dotted = told.get(f"{side}.body")
    if dotted is not None:
        return unpacked(dotted)
    outer = unpacked(told.get(side))
    inner = outer.get("body") if isinstance(outer, dict) else None
    return outer if inner is None else unpacked(inner)


def _from_cache(status: Any) -> float | None:
    found = word(status)
    return None if found is None else float(found.upper().endswith("HIT"))


def _cost(row: Row, told: Mapping[str, Any], reading: Reading) -> float | None:
    cents = amount("cost", told.get("cost"))
    currency = word(told.get("cost_currency")) or "USD"
    if cents is None:
        return None
    if currency.upper() != "USD":
        reading.note(f"costs in {currency}, which are not counted")
        return None
    billed = bool(row.input_tokens or row.output_tokens) and not row.from_cache
    return None if cents == 0 and billed else cents / 100


def _end(row: Row, told: Mapping[str, Any]) -> None:
    code = count("response_status_code", told.get("response_status_code"))
    if code is not None and code >= 400:
        row.status, row.error = "error", row.error or f"http {code}"
    elif flag(told.get("is_success")) == 0:
        row.status, row.error = "error", row.error or "no success"
