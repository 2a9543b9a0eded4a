"""Ask a server which models it lists: OpenAI's `GET /models`, Anthropic's `GET /v1/models`.

Sources: OpenAI API reference, "List models" (`created`, `shutdown_date`), and Anthropic API
reference, "List Models" (`created_at`, pages by `after_id`), both read 2026-11. vLLM and llama.cpp
answer in OpenAI's shape. Redirects are not followed and proxies are not used, so that a key goes
to the configured host or nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from stepdown.core.offered import Offered
from stepdown.errors import Unavailable

TIMEOUT_S = 15.0
BODY_LIMIT_BYTES = 8 * 2**20
MOST_PAGES = 20
OK = 200
PAGE = 1000  # the most that Anthropic gives in a page


def openai_list(base_url: str, key: str, provider: str) -> tuple[Offered, ...]:
    """Return the models that an OpenAI-like server lists.

    Raises:
        Unavailable: it cannot be reached, refuses, or answers something else.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    plain = _get(f"{base_url.rstrip('/')}/models", headers)
    return _read(plain, provider, base_url)


def anthropic_list(base_url: str, key: str, version: str) -> tuple[Offered, ...]:
    """Return the models that an Anthropic-like server lists, all pages; raises as `openai_list`."""
    base = base_url.rstrip("/").removesuffix("/v1")
    headers = {"anthropic-version": version} | ({"x-api-key": key} if key else {})
    found: list[Offered] = []
    after = ""
    for _ in range(MOST_PAGES):
        plain = _get(f"{base}/v1/models?limit={PAGE}{after}", headers)
        found += _read(plain, "anthropic", base)
        last = plain.get("last_id")
        if not plain.get("has_more") or not isinstance(last, str):
            break
        after = f"&after_id={quote(last, safe='')}"
    return tuple(found)


def read_list(plain: Any, *, provider: str, source: str) -> tuple[Offered, ...]:
    """Return the models of a decoded answer.

    Raises:
        ValueError: it has another shape.
    """
    rows = plain.get("data") if isinstance(plain, dict) else None
    if not isinstance(rows, list):  # data of others: a wrong value, not a wrong type of ours
        raise ValueError("there is no list of models under `data`")  # noqa: TRY004
    return tuple(
        Offered(
            id=row["id"],
            provider=provider,
            created=_day(row.get("created", row.get("created_at"))),
            shutdown=_day(row.get("shutdown_date")),
            source=f"list of {source}",
        )
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("id"), str)
    )


def _day(said: Any) -> date | None:
    """Return the day of a Unix time or an ISO date; None where neither is told."""
    try:
        if isinstance(said, int | float) and said > 0:
            return datetime.fromtimestamp(said, UTC).date()
        return date.fromisoformat(said[:10]) if isinstance(said, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _get(url: str, headers: Mapping[str, str]) -> Any:
    host, parts = _host(url), urlsplit(url)
    opened = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = opened(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    try:
        connection.request("GET", path, headers={**headers, "Accept": "application/json"})
        with connection.getresponse() as answer:
            if answer.status != OK:
                raise Unavailable(f"{host} does not list its models: status {answer.status}.")
            body = answer.read(BODY_LIMIT_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(f"{host} could not be asked for its models: {error}.") from None
    finally:
        connection.close()
    if len(body) > BODY_LIMIT_BYTES:
        raise Unavailable(f"{host} answers more than {BODY_LIMIT_BYTES:,} bytes; not read.")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise Unavailable(f"{host} does not answer with JSON.") from None


def _read(plain: Any, provider: str, base_url: str) -> tuple[Offered, ...]:
    try:
        return read_list(plain, provider=provider, source=_host(base_url))
    except ValueError as error:
        raise Unavailable(f"{_host(base_url)} does not list its models: {error}.") from None


def _host(url: str) -> str:
    return urlsplit(url).netloc
