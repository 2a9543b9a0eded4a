"""Helicone's requests, as `npx @helicone/export` and its query API write them (JSON, JSONL, CSV).

Follows the schema `HeliconeRequest` of Helicone's API and "Export Data" (Helicone documentation),
as of November 2026. Traps: bodies are there only with `--include-body`; custom properties carry the
step; `delay_ms` and `time_to_first_token` are milliseconds; the cost is Helicone's own estimate.
Not verified: whether `prompt_tokens` of Anthropic holds what the cache gave and took. The body's
own usage is taken where there is one; else they are added for Anthropic, as on its own wire.
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
from stepdown.adapters.logs.names import header_fields, name_row
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading, read_values
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.said import content_of, unpacked
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.wire import first
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Content
from stepdown.ports.log_reader import Log

SURE = {"request_id", "request_created_at"}


class Helicone:
    """Read requests; `step` names every call (the user's flag)."""

    name = "Helicone requests (API schema and export, November 2026)"
    by_line = True

    def __init__(self, step: str | None = None) -> None:
        self.step = step

    def accepts(self, head: bytes) -> bool:
        """Tell whether a value near the start is a request as Helicone keeps it."""
        return any(set(found) >= SURE for found in first_rows(head))

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
        if not isinstance(told, dict) or not told.get("request_id"):
            raise ValueError("no request_id: not a request of Helicone")
        return [(self._call(told), value)]

    def _call(self, told: Mapping[str, Any]) -> Row:
        row = Row(id=word(told["request_id"]), user=word(_of(told, "request_user_id", "user_id")))
        bodies_into(row, told.get("request_body"), told.get("response_body"))
        row.at_s = moment(_of(told, "request_created_at"))
        row.provider = _provider(told)
        row.model = word(_of(told, "response_model", "model")) or row.model
        row.asked_model = word(told.get("request_model")) or row.asked_model
        row.model = row.model or word(told.get("model_override")) or row.asked_model
        _tokens(row, told)
        delay = amount("delay_ms", _of(told, "delay_ms", "latency"))
        row.latency_s = None if delay is None else delay / 1000
        first_ms = amount("time_to_first_token", told.get("time_to_first_token"))
        row.first_token_s = None if first_ms is None else first_ms / 1000
        row.cost_usd = first(amount("cost", _of(told, "costUSD", "cost_usd", "cost")), row.cost_usd)
        if row.cost_usd == 0 and (row.input_tokens or row.output_tokens):
            row.cost_usd = None  # it knows no price
        _end(row, told.get("response_status"))
        self._named(row, told)
        return row

    def _named(self, row: Row, told: Mapping[str, Any]) -> None:
        properties = properties_of(told)
        plain = {str(key).lower(): value for key, value in header_fields(properties).items()}
        session = _any(plain, "helicone_session_id")
        row.session = word(session)
        row.from_cache = flag(_of(told, "cache_hit"))
        path = _any(plain, "helicone_session_path", "helicone_session_name")
        prompt = _of(told, "prompt_id") or plain.get("helicone_prompt_id")
        row.prompt = word(prompt)
        names = {"prompt_name": row.prompt, "span_name": path and str(path).strip("/")}
        body = mapping(unpacked(told.get("request_body")))
        metadata = mapping(body.get("metadata"))
        named = {key: value for key, value in names.items() if value}
        name_row(row, self.step, (plain, metadata), names=named)


def unpack(value: bytes) -> Content:
    """Return what a request says."""
    told = msgspec.json.decode(value)
    return content_of(told.get("request_body"), told.get("response_body"), properties_of(told))


def properties_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the custom properties of a request."""
    found: dict[str, Any] = {}
    for name in ("properties", "request_properties"):
        found |= mapping(unpacked(told.get(name)))
    return found


def _of(told: Mapping[str, Any], *names: str) -> Any:
    return next((told[name] for name in names if told.get(name) not in (None, "")), None)


def _any(told: Mapping[str, Any], *names: str) -> Any:
    return next((told[name] for name in names if told.get(name)), None)


def _provider(told: Mapping[str, Any]) -> str | None:
    found = (word(told.get("provider")) or "custom").lower()
    return None if found == "custom" else found


def _tokens(row: Row, told: Mapping[str, Any]) -> None:
    read = count("prompt_cache_read_tokens", told.get("prompt_cache_read_tokens"))
    wrote = count("prompt_cache_write_tokens", told.get("prompt_cache_write_tokens"))
    row.cached_tokens = first(row.cached_tokens, read)
    row.cache_write_tokens = first(row.cache_write_tokens, wrote)
    if row.input_tokens is None:
        plain = count("prompt_tokens", told.get("prompt_tokens"))
        beside = (read or 0) + (wrote or 0) if row.provider == "anthropic" else 0
        row.input_tokens = None if plain is None else plain + beside
    if row.output_tokens is None:
        row.output_tokens = count("completion_tokens", told.get("completion_tokens"))


def _end(row: Row, status: Any) -> None:
    code = count("response_status", status)
    if code is not None and code >= 400:
        row.status, row.error = "error", row.error or f"http {code}"
    elif code is not None and code < 0:
        row.status, row.error = "error", "no response"
