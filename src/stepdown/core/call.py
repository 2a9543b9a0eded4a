"""What a caller sends to the gateway and what goes back, free of any wire format."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from stepdown.core.request import Message, Tool, ToolCall, Usage
from stepdown.core.trace import Trace


class Call(Struct, frozen=True, kw_only=True):
    """A caller's request. `model` is a task, or `tier:NAME`; hints travel in `metadata`."""

    id: str
    model: str
    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    tools: tuple[Tool, ...] = ()
    metadata: Mapping[str, str] = {}


class Reply(Struct, frozen=True, kw_only=True):
    """The answer in the caller's shape, with the trace that explains it.

    `usage` is what the caller is told: the tokens of the attempt that answered.
    """

    text: str
    model: str
    trace: Trace
    finish_reason: str = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    recorded: bool = False
    note: str = ""
