"""What a caller asks for besides the messages: decoding, tools, the shape of the answer.

It reaches a tier only where a request is passed on as it is; a request that matches its contract
runs with the decoding that was certified.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

Wire = Literal["", "openai", "anthropic"]


class Tool(Struct, frozen=True):
    """A function that the model may call; `parameters` is its JSON Schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = {}
    strict: bool | UnsetType = UNSET
    cache_control: Mapping[str, Any] | UnsetType = UNSET


class ToolChoice(Struct, frozen=True, omit_defaults=True):
    """Which tools the model may, must or must not call; `one` must be the tool `name`."""

    mode: Literal["auto", "none", "required", "one"]
    name: str = ""


class Format(Struct, frozen=True, omit_defaults=True):
    """The shape that the caller asked the answer to have: text, any JSON object, or a schema's."""

    kind: Literal["text", "json_object", "json_schema"]
    schema: Mapping[str, Any] | None = None
    name: str = "answer"
    description: str | None = None
    strict: bool | None = None


class Asked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The caller's own parameters; None is what the caller left out.

    `extra` holds parameters that only the caller's wire has, in its words.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    format: Format | None = None
    n: int = 1
    logprobs: bool = False
    top_logprobs: int = 0
    wire: Wire = ""
    extra: Mapping[str, Any] = {}
