"""Read what a provider says was used and charged: exports of usage and cost, or a plain table.

Sources, as of November 2026: OpenAI API reference, "Usage" (organization.usage.completions.result)
and "Costs" (organization.costs.result); Anthropic Admin API, "Get Messages Usage Report" and "Get
Cost Report" (an amount is cents as a decimal string); LiteLLM docs, "Spend Tracking". Fields that
are not named there could not be verified and are counted, not guessed.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

from stepdown.core.billed import BilledLine, BilledSums
from stepdown.errors import DataError

MOST_BYTES = 256 << 20
NAMES: Mapping[str, tuple[str, ...]] = {
    "day": ("day", "date", "startTime", "group_by_day", "usage_date_utc"),
    "model": ("model", "model_id", "model_version", "line_item"),
    "cost": ("cost", "cost_usd", "spend", "total_spend", "amount", "amount_usd"),
    "calls": ("calls", "requests", "api_requests", "num_model_requests"),
    "input": ("input_tokens", "prompt_tokens"),
    "cached": ("cached_tokens", "cache_read_input_tokens", "input_cached_tokens"),
    "written": ("cache_write_tokens", "cache_creation_input_tokens"),
    "output": ("output_tokens", "completion_tokens"),
    "processing": ("processing", "service_tier"),
}


def read_bill(path: Path) -> BilledSums:
    """Return an export of usage or cost, known by its content.

    Raises:
        DataError: it cannot be read, or is none that is known.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path} is larger than 256 MB.", "Export sums by day, not calls.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from None
    if not text.strip():
        raise DataError(f"{path} is empty.", "Export the usage or cost of the period of the log.")
    found = _Reader(path)
    lines = tuple(found.lines(text))
    if not lines:
        raise DataError(f"{path}: no line says what was used or charged.", _KNOWN)
    return BilledSums(source=str(path), form=found.form, lines=lines, left_out=dict(found.left_out))


_KNOWN = (
    "Known: OpenAI usage and costs, Anthropic usage and cost reports, LiteLLM spend, and CSV with "
    "the columns model, day, input_tokens, output_tokens, cost."
)


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path, self.form = path, "table"
        self.left_out: Counter[str] = Counter()

    def lines(self, text: str) -> Iterator[BilledLine]:
        if text.lstrip()[:1] not in ("{", "["):
            yield from self._table(csv.DictReader(io.StringIO(text)))
            return
        for page in _documents(self.path, text):
            yield from self._page(page)

    def _page(self, page: Any) -> Iterator[BilledLine]:
        buckets = page if isinstance(page, list) else _buckets(page)
        plain: list[Mapping[str, Any]] = []
        for bucket in buckets:
            if not isinstance(bucket, Mapping):
                self.left_out["entries that are no objects"] += 1
            elif isinstance(results := bucket.get("results", bucket.get("result")), list):
                yield from self._bucket(bucket, results)
            else:
                plain.append(bucket)
        yield from self._table(plain)

    def _bucket(self, bucket: Mapping[str, Any], results: list[Any]) -> Iterator[BilledLine]:
        day = _day(bucket.get("start_time", bucket.get("starting_at")))
        for one in results:
            if not isinstance(one, Mapping):
                self.left_out["entries that are no objects"] += 1
                continue
            yield self._result(day, one)

    def _result(self, day: str | None, one: Mapping[str, Any]) -> BilledLine:
        amount = one.get("amount")
        if isinstance(amount, Mapping):
            self.form = "OpenAI costs"
            return BilledLine(
                day=day,
                model=_model_in(one.get("line_item")),
                cost_usd=_number(self.path, amount.get("value")),
                item=str(one.get("line_item") or ""),
            )
        if amount is not None:
            self.form = "Anthropic cost report"
            cents = _number(self.path, amount)
            return BilledLine(
                day=day,
                model=one.get("model"),
                processing=one.get("service_tier"),
                cost_usd=None if cents is None else cents / 100,
                item=str(one.get("description") or one.get("cost_type") or ""),
            )
        if "uncached_input_tokens" in one:
            self.form = "Anthropic usage report"
            return _anthropic_usage(day, one)
        self.form = "OpenAI usage"
        return _openai_usage(day, one)

    def _table(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[BilledLine]:
        for row in rows:
            told = {what: _first(row, names) for what, names in NAMES.items()}
            if all(told[what] in (None, "") for what in ("cost", "input", "output", "calls")):
                self.left_out["rows without cost, tokens or calls"] += 1
                continue
            cached, written = _whole(told["cached"]), _whole(told["written"])
            fresh = _whole(told["input"]) - cached - written
            yield BilledLine(
                day=_day(told["day"]),
                model=told["model"] or None,
                processing=told["processing"] or None,
                calls=None if told["calls"] in (None, "") else _whole(told["calls"]),
                tokens=_tokens(fresh, cached, written, 0, _whole(told["output"])),
                cost_usd=_number(self.path, told["cost"]),
            )


def _documents(path: Path, text: str) -> list[Any]:
    try:
        return [msgspec.json.decode(text)]
    except msgspec.DecodeError:
        pass
    try:
        return [[msgspec.json.decode(line) for line in text.splitlines() if line.strip()]]
    except msgspec.DecodeError as error:
        raise DataError(f"{path} is no JSON: {error}.", _KNOWN) from None


def _buckets(page: Any) -> list[Any]:
    for name in ("data", "results"):
        if isinstance(page.get(name), list) and "start_time" not in page:
            return list(page[name])
    return [page]


def _openai_usage(day: str | None, one: Mapping[str, Any]) -> BilledLine:
    cached = _whole(one.get("input_cached_tokens"))
    return BilledLine(
        day=day,
        model=one.get("model"),
        processing="batch" if one.get("batch") else one.get("service_tier"),
        calls=_whole(one.get("num_model_requests")),
        tokens=_tokens(
            _whole(one.get("input_tokens")) - cached, cached, 0, 0, _whole(one.get("output_tokens"))
        ),
    )


def _anthropic_usage(day: str | None, one: Mapping[str, Any]) -> BilledLine:
    made = one.get("cache_creation") or {}
    return BilledLine(
        day=day,
        model=one.get("model"),
        processing=one.get("service_tier"),
        tokens=_tokens(
            _whole(one.get("uncached_input_tokens")),
            _whole(one.get("cache_read_input_tokens")),
            _whole(made.get("ephemeral_5m_input_tokens")),
            _whole(made.get("ephemeral_1h_input_tokens")),
            _whole(one.get("output_tokens")),
        ),
    )


def _tokens(fresh: int, cached: int, written: int, hour: int, output: int) -> dict[str, int]:
    told = {"input": fresh, "cached": cached, "written": written, "written_1h": hour}
    return {name: n for name, n in {**told, "output": output}.items() if n}


def _first(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    low = {str(name).strip().lower(): value for name, value in row.items() if name}
    return next((low[n.lower()] for n in names if low.get(n.lower()) not in (None, "")), None)


def _model_in(item: Any) -> str | None:
    """Return the model of a line item such as `gpt-5.1-2025-11-13, input`."""
    return str(item).partition(",")[0].strip() if item else None


def _day(said: Any) -> str | None:
    if said in (None, ""):
        return None
    if isinstance(said, int | float):
        return datetime.fromtimestamp(said, UTC).date().isoformat()
    return str(said)[:10]


def _whole(said: Any) -> int:
    try:
        return int(Decimal(str(said).replace(",", ""))) if said not in (None, "") else 0
    except (InvalidOperation, ValueError, OverflowError):
        return 0


def _number(path: Path, said: Any) -> float | None:
    if said in (None, ""):
        return None
    try:
        found = Decimal(str(said).replace(",", "").replace("$", ""))
    except InvalidOperation:
        raise DataError(f"{path}: {said!r} is no amount.", "Correct the export.") from None
    return float(found) if found.is_finite() else None
