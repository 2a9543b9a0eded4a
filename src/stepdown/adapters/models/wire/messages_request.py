"""A request in the words of the Anthropic messages wire. It does not know HTTP or answers.

Source: Anthropic API reference, "Create a Message" and "Structured outputs", 2026-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec

from stepdown.core.request import ImagePart, Message, Request, TextPart, Tool, ToolCall
from stepdown.errors import Unavailable

SYSTEM_ROLES = frozenset({"system", "developer"})


def system_text(request: Request) -> str:
    """Return the system messages as one text: this wire has no such role."""
    return "\n\n".join(m.text for m in request.messages if m.role in SYSTEM_ROLES)


def turns(request: Request) -> list[dict[str, Any]]:
    """Return the other messages; results of tools that ran together share one turn."""
    said = [m for m in request.messages if m.role not in SYSTEM_ROLES]
    if not said:
        return [{"role": "user", "content": request.input}]
    runs = groupby(said, lambda message: message.role == "tool")
    return [turn for is_result, run in runs for turn in _run(list(run), is_result=is_result)]


def _run(messages: Sequence[Message], *, is_result: bool) -> list[dict[str, Any]]:
    return [_results(messages)] if is_result else [_turn(message) for message in messages]


def message_options(request: Request) -> dict[str, Any]:
    """Return what decides the answer besides the messages, except the token limit.

    The wire has no seed and no log-probabilities.
    """
    options: dict[str, Any] = {"temperature": request.temperature}
    if request.stop:
        options["stop_sequences"] = list(request.stop)
    if request.schema is not None:
        options["output_config"] = {"format": {"type": "json_schema", "schema": request.schema}}
    if request.tools:
        options["tools"] = [_tool(tool) for tool in request.tools]
    return options


def _tool(tool: Tool) -> dict[str, Any]:
    # A function without parameters still needs an object's schema on this wire.
    schema = dict(tool.parameters) or {"type": "object", "properties": {}}
    return {"name": tool.name, "description": tool.description, "input_schema": schema}


def _results(messages: Sequence[Message]) -> dict[str, Any]:
    return {"role": "user", "content": [_result(message) for message in messages]}


def _result(message: Message) -> dict[str, Any]:
    used = message.tool_call_id or ""
    return {"type": "tool_result", "tool_use_id": used, "content": message.text}


def _turn(message: Message) -> dict[str, Any]:
    if isinstance(message.content, str) and not message.tool_calls:
        return {"role": message.role, "content": message.content}
    blocks = [_block(part) for part in _parts(message)]
    return {"role": message.role, "content": blocks + [_use(c) for c in message.tool_calls]}


def _parts(message: Message) -> tuple[TextPart | ImagePart, ...]:
    """Return the parts; the wire refuses an empty text."""
    if isinstance(message.content, tuple):
        return message.content
    return (TextPart(message.content),) if message.content else ()


def _block(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image", "source": _source(part.url)}


def _source(url: str) -> dict[str, str]:
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        media = head.removeprefix("data:").removesuffix(";base64")
        return {"type": "base64", "media_type": media, "data": data}
    return {"type": "url", "url": url}


def _use(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = msgspec.json.decode(call.arguments or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Unavailable(
            f"The earlier call of {call.name!r} has arguments that are no JSON object: "
            f"{call.arguments[:80]!r}; the Anthropic wire cannot carry them.",
            "Leave the call out of the messages, or use another tier.",
        ) from None
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}
