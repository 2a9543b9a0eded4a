"""Rows of a usage log, whatever its format: what a step's call was, cost and answered.

Many rows at once are a `Batch` of columns (`core/call_columns.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from stepdown.core.asked import Tool
from stepdown.core.request import Message, Usage


class Content(Struct, frozen=True, kw_only=True):
    """What was said in one call; None is unknown. It is decoded only when somebody asks.

    `tools` are the functions that the model was offered, `called` the names of those that it
    called, `schema` the JSON Schema that the answer had to obey, `metadata` what the caller wrote
    beside the call.
    """

    messages: tuple[Message, ...] | None = None
    answer: str | None = None
    tools: tuple[Tool, ...] = ()
    called: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = {}


class LoggedCall(Struct, frozen=True, kw_only=True):
    """One call in a usage log; None is unknown.

    `at` is ISO 8601 in UTC. `step` is the step's name and `step_rule` the rule that found it.
    `usage.input_tokens` are all that were read, with those that a cache gave or took.
    `cost_usd` is what the log reports; a list price is the audit's business.
    `processing` is how the provider handled it: standard, batch, flex, priority.
    `status` is "ok" or "error", `error` its kind in the log's words.
    """

    id: str
    at: str | None = None
    provider: str | None = None
    model: str | None = None
    step: str | None = None
    step_rule: str | None = None
    session: str | None = None
    trace: str | None = None
    parent: str | None = None
    messages: tuple[Message, ...] | None = None
    answer: str | None = None
    usage: Usage = Usage()
    latency_s: float | None = None
    first_token_s: float | None = None
    cost_usd: float | None = None
    processing: str | None = None
    status: str = "ok"
    error: str | None = None
    finish: str | None = None
    tools: int = 0
    max_tokens: int | None = None
    metadata: Mapping[str, Any] = {}
    source: str = ""


class Refused(Struct, frozen=True):
    """A row that could not be read: where, and why."""

    source: str
    line: int
    why: str
    excerpt: str = ""
