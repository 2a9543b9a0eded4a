"""The figures in requests and responses of the three wires that most logs hold: OpenAI's Chat
Completions and Responses, and Anthropic's Messages. What was said is `said.py`'s.

Follows the OpenAI API reference ("Chat completions", "Responses") and the Anthropic API reference
("Messages"), as of November 2026. One shape reads all three, because logs mix them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct, field

from stepdown.adapters.logs.moments import moment
from stepdown.adapters.logs.rows import Row

Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0)]
Text = str | int | float | bool | None
# What providers call their ways of handling a call, in our words.
PROCESSING = {
    "default": "standard",
    "standard": "standard",
    "standard_only": "standard",
    "on_demand": "standard",
    "flex": "flex",
    "priority": "priority",
    "batch": "batch",
}


class Details(Struct, gc=False):
    """Parts of a token count."""

    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    cache_creation_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class Writes(Struct, gc=False):
    """Anthropic's writes to a cache by its lifetime."""

    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class WireUsage(Struct, gc=False):
    """`usage` with the names of all three wires, and of gateways that copy them."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None
    input_tokens_details: Details | None = None
    output_tokens_details: Details | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: Writes | None = None
    prompt_cache_hit_tokens: Count | None = None
    service_tier: str | None = None
    cost: Any = None

    def into(self, row: Row) -> None:
        """Write the counts into a row; what nobody told stays unknown."""
        read = self.prompt_tokens_details or self.input_tokens_details or _NO_DETAILS
        wrote = self.completion_tokens_details or self.output_tokens_details or _NO_DETAILS
        row.cached_tokens = first(
            read.cached_tokens, self.cache_read_input_tokens, self.prompt_cache_hit_tokens
        )
        row.cache_write_tokens = first(
            read.cache_write_tokens, read.cache_creation_tokens, self.cache_creation_input_tokens
        )
        row.reasoning_tokens = wrote.reasoning_tokens
        row.output_tokens = first(self.completion_tokens, self.output_tokens)
        row.input_tokens = first(self.prompt_tokens, self._all_input())
        if self.cache_creation is not None:
            row.cache_write_1h_tokens = self.cache_creation.ephemeral_1h_input_tokens

    def _all_input(self) -> int | None:
        """Return Anthropic's input with what the cache gave and took: it excludes both."""
        if self.input_tokens is None:
            return None
        cached = self.cache_read_input_tokens or 0
        return self.input_tokens + cached + (self.cache_creation_input_tokens or 0)


class WireFormat(Struct, gc=False):
    """The shape that an answer was asked to have."""

    type: str | None = None


class WireText(Struct, gc=False):
    """`text` of the Responses API, `output_config` of the Messages API."""

    format: WireFormat | None = None
    effort: str | None = None


class WireEffort(Struct, gc=False):
    """`reasoning` of the Responses API."""

    effort: str | None = None


class WireRequest(Struct, gc=False):
    """The figures of a request's body."""

    model: str | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    max_output_tokens: Count | None = None
    temperature: float | None = None
    n: Count | None = None
    stream: bool | None = None
    tools: Raw = field(default_factory=Raw)
    functions: Raw = field(default_factory=Raw)
    response_format: WireFormat | None = None
    output_format: WireFormat | None = None
    text: WireText | str | None = None
    output_config: WireText | None = None
    reasoning_effort: str | None = None
    reasoning: WireEffort | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    user: str | None = None

    def into(self, row: Row) -> None:
        """Write what was asked for into a row."""
        row.asked_model = self.model
        row.max_tokens = first(self.max_completion_tokens, self.max_tokens, self.max_output_tokens)
        row.temperature, row.choices = self.temperature, self.n
        row.stream = self.stream
        row.user = self.user
        row.effort = self._effort()
        row.shape = self._shape()
        offered(row, bytes(self.tools) or bytes(self.functions))

    def _effort(self) -> str | None:
        if self.reasoning_effort is not None:
            return self.reasoning_effort
        if self.reasoning is not None:
            return self.reasoning.effort
        return None if self.output_config is None else self.output_config.effort

    def _shape(self) -> str | None:
        told = self.response_format or self.output_format
        if told is None and self.output_config is not None:
            told = self.output_config.format
        if told is None and isinstance(self.text, WireText):
            told = self.text.format
        return None if told is None else told.type


class WireMade(Struct, gc=False):
    """A message of a choice, as far as figures go."""

    tool_calls: list[Raw] | None = None


class WireChoice(Struct, gc=False):
    """A choice of a response."""

    message: WireMade | None = None
    finish_reason: str | None = None


class WireItem(Struct, gc=False):
    """An item of an answer: a content block, or an item of `output`."""

    type: str | None = None


class WireIncomplete(Struct, gc=False):
    """Why a response ended before its end."""

    reason: str | None = None


class WireResponse(Struct, gc=False):
    """The figures of a response's body; `error` instead of an answer when the call failed."""

    id: str | None = None
    object: str | None = None
    type: str | None = None
    model: str | None = None
    created: float | str | None = None
    created_at: float | str | None = None
    completed_at: float | str | None = None
    choices: list[WireChoice] | None = None
    output: list[WireItem] | Any = None
    content: list[WireItem] | Any = None
    stop_reason: str | None = None
    incomplete_details: WireIncomplete | None = None
    usage: WireUsage | None = None
    service_tier: str | None = None
    status: str | int | None = None
    provider: str | None = None
    error: Any = None

    def into(self, row: Row) -> None:
        """Write what was answered into a row."""
        row.model = self.model or row.asked_model
        row.kind = KINDS.get(self.object or self.type or "")
        self._end(row)
        if self.usage is not None:
            self.usage.into(row)
            if row.cost_usd is None:
                row.cost_usd = self.usage.cost
        if self.error is not None:
            row.status, row.error = "error", error_kind(self.error)

    @property
    def at_s(self) -> float | None:
        """When it was made."""
        return moment(first(self.created, self.created_at))

    @property
    def tier(self) -> str | None:
        """How it was processed, in the provider's word."""
        return self.service_tier or (None if self.usage is None else self.usage.service_tier)

    def _end(self, row: Row) -> None:
        if self.choices:
            row.finish = self.choices[0].finish_reason
            made = self.choices[0].message
            row.tool_calls = len(made.tool_calls) if made and made.tool_calls else 0
        elif isinstance(self.content, list):
            row.finish = self.stop_reason
            row.tool_calls = sum(_is(item, "tool_use") for item in self.content)
        elif isinstance(self.output, list):
            row.finish = self._response_end()
            row.tool_calls = sum(_is(item, "function_call") for item in self.output)

    def _response_end(self) -> str | None:
        if self.incomplete_details is not None and self.incomplete_details.reason is not None:
            return self.incomplete_details.reason
        return self.status if isinstance(self.status, str) else None


KINDS = {
    "chat.completion": "chat",
    "text_completion": "completion",
    "message": "chat",
    "response": "chat",
    "list": "embeddings",
}


def processed(*tiers: str | None) -> str | None:
    """Return how a call was processed by the first tier that tells it; None: nobody does.

    A tier that nobody knows here (`scale`) is kept in its own word, so that no price list takes it
    for standard.
    """
    for tier in tiers:
        if tier is not None and tier != "auto":
            return PROCESSING.get(tier, tier)
    return None


def error_kind(error: Any) -> str:
    """Return a short name of what went wrong, in the log's words."""
    if isinstance(error, dict):
        inner = error.get("error")
        told = inner if isinstance(inner, dict) else error
        for key in ("code", "type", "error_class", "error_code", "name"):
            if isinstance(told.get(key), str | int) and told[key] != "error":
                return str(told[key])[:80]
        return "error"
    return str(error).strip().partition("\n")[0][:80] or "error"


def offered(row: Row, tools: bytes) -> None:
    """Write the functions that the model was offered into a row."""
    if not tools or tools == b"null":
        return
    row.tools, row.tool_names = _tools(tools)
    row.tools_bytes = len(tools) if row.tools else None


@lru_cache(maxsize=1024)
def _tools(tools: bytes) -> tuple[int, str | None]:
    found = msgspec.json.decode(tools)
    if not isinstance(found, list) or not found:
        return 0, None
    names = sorted(filter(None, map(tool_name, found)))
    return len(found), ",".join(names) or None


def tool_name(tool: Any) -> str:
    """Return the name of a tool's definition, in any wire's shape."""
    if not isinstance(tool, dict):
        return ""
    inner = tool.get("function") or tool.get("toolSpec") or tool
    named = inner.get("name") if isinstance(inner, dict) else None
    return str(named or tool.get("name") or tool.get("type") or "")


def first(*values: Any) -> Any:
    """Return the first value that is known; 0 is known."""
    for value in values:
        if value is not None:
            return value
    return None


def _is(item: Any, kind: str) -> bool:
    return (item.get("type") if isinstance(item, dict) else getattr(item, "type", None)) == kind


_NO_DETAILS = Details()
