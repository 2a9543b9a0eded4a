"""A request in the words of the Anthropic messages wire. It does not know HTTP or answers.

Source: Anthropic API reference, "Create a Message" and "Structured outputs", 2026-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec
from msgspec import UNSET

from stepdown.core.asked import Asked, Tool
from stepdown.core.request import ImagePart, Message, Request, TextPart, ToolCall
from stepdown.errors import Unavailable

SYSTEM_ROLES = frozenset({"system", "developer"})


def system_text(request: Request) -> str | list[dict[str, Any]]:
    """Return the system messages as one text: this wire has no such role.

    Where a part is marked for the cache they stay the blocks that they are.
    """
    said = [m for m in request.messages if m.role in SYSTEM_ROLES]
    blocks = [_block(part) for message in said for part in _parts(message)]
    if any("cache_control" in block for block in blocks):
        return blocks
    return "\n\n".join(message.text for message in said)


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
    options = _decoding(request)
    if request.stop:
        options["stop_sequences"] = list(request.stop)
    if request.schema is not None:
        shape = {"type": "json_schema", "schema": request.schema}
        options["output_config"] = {**options.get("output_config", {}), "format": shape}
    if request.tools:
        options["tools"] = [_tool(tool) for tool in request.tools]
    return options


def _decoding(request: Request) -> dict[str, Any]:
    """Return what a request that is passed on says itself; any other decodes as was certified."""
    asked = request.asked
    if not isinstance(asked, Asked):
        return {"temperature": request.temperature}
    said: dict[str, Any] = dict(asked.extra) if asked.wire == "anthropic" else {}
    chosen = {
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "tool_choice": _choice(asked) if asked.tools else None,
    }
    return said | {name: value for name, value in chosen.items() if value is not None}


def _choice(asked: Asked) -> dict[str, Any] | None:
    """Return which tools may be called; here that also says whether several may at once."""
    choice = asked.tool_choice
    if choice is None and asked.parallel_tools is None:
        return None
    said: dict[str, Any] = {"type": _MODES["auto" if choice is None else choice.mode]}
    if choice is not None and choice.mode == "one":
        said["name"] = choice.name
    if asked.parallel_tools is not None and said["type"] != "none":
        said["disable_parallel_tool_use"] = not asked.parallel_tools
    return said


_MODES = {"auto": "auto", "none": "none", "required": "any", "one": "tool"}


def _tool(tool: Tool) -> dict[str, Any]:
    # A function without parameters still needs an object's schema on this wire.
    schema = dict(tool.parameters) or {"type": "object", "properties": {}}
    said = {"name": tool.name, "description": tool.description, "input_schema": schema}
    return said | _marks(tool) | ({} if tool.strict is UNSET else {"strict": tool.strict})


def _marks(part: Tool | TextPart | ImagePart) -> dict[str, Any]:
    """Return the mark that ends a prefix which the vendor should cache."""
    return {} if part.cache_control is UNSET else {"cache_control": part.cache_control}


def _results(messages: Sequence[Message]) -> dict[str, Any]:
    return {"role": "user", "content": [_result(message) for message in messages]}


def _result(message: Message) -> dict[str, Any]:
    content = message.content
    said = [_block(part) for part in content] if isinstance(content, tuple) else message.text
    used = {"type": "tool_result", "tool_use_id": message.tool_call_id or "", "content": said}
    return used | ({"is_error": True} if message.is_error else {})


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
        return {"type": "text", "text": part.text, **_marks(part)}
    return {"type": "image", "source": _source(part.url), **_marks(part)}


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
