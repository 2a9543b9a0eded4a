"""A request in the words of the OpenAI chat wire. It does not know HTTP or answers.

Source: OpenAI API reference, "Create chat completion", 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from stepdown.core.asked import Asked, Format, Tool, ToolChoice
from stepdown.core.request import ImagePart, Message, Request, TextPart, ToolCall


def chat_messages(request: Request) -> list[dict[str, Any]]:
    """Return the request's messages, or its bare input as the only one."""
    said = request.messages or (Message(role="user", content=request.input),)
    return [_message(message) for message in said]


def chat_options(request: Request) -> dict[str, Any]:
    """Return what decides the answer besides the messages, except the token limit.

    A closed label set adds nothing: the answer is read back by `core.requesting`.
    """
    options = _decoding(request)
    if request.seed is not None:
        options["seed"] = request.seed
    if request.stop:
        options["stop"] = list(request.stop)
    if (shape := _shape(request)) is not None:
        options["response_format"] = shape
    if request.tools:
        options["tools"] = [_tool(tool) for tool in request.tools]
    return options | _logprobs(request) if request.logprobs else options


def _decoding(request: Request) -> dict[str, Any]:
    """Return what a request that is passed on says itself; any other decodes as was certified."""
    asked = request.asked
    if not isinstance(asked, Asked):
        return {"temperature": request.temperature}
    said: dict[str, Any] = dict(asked.extra) if asked.wire == "openai" else {}
    chosen = {
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "tool_choice": None if asked.tool_choice is None else _choice(asked.tool_choice),
        "parallel_tool_calls": asked.parallel_tools,
    }
    return said | {name: value for name, value in chosen.items() if value is not None}


def _choice(choice: ToolChoice) -> Any:
    if choice.mode == "one":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _shape(request: Request) -> dict[str, Any] | None:
    """Return the shape that the answer must have: the caller's words for it, where they say one."""
    asked = request.asked
    if isinstance(asked, Asked) and asked.format is not None:
        return _format(asked.format)
    if request.schema is None:
        return None
    return _format(Format("json_schema", request.schema, strict=_can_be_strict(request.schema)))


def _can_be_strict(schema: Any) -> bool:
    """Tell whether every object of a schema names all of its properties as required, and no more.

    A strict server refuses any other schema. Source: OpenAI, "Structured outputs", 2026-11.
    """
    if isinstance(schema, list):
        return all(map(_can_be_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    if "object" in _kinds(schema):
        named = set(schema.get("properties", {}))
        if (
            schema.get("additionalProperties") is not False
            or set(schema.get("required", ())) != named
        ):
            return False
    return all(map(_can_be_strict, schema.values()))


def _kinds(schema: Mapping[str, Any]) -> Sequence[Any]:
    kinds = schema.get("type", ())
    return [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else ()


def _format(shape: Format) -> dict[str, Any]:
    if shape.kind != "json_schema":
        return {"type": shape.kind}
    strict = True if shape.strict is None else shape.strict
    named: dict[str, Any] = {"name": shape.name, "strict": strict, "schema": shape.schema or {}}
    if shape.description is not None:
        named["description"] = shape.description
    return {"type": "json_schema", "json_schema": named}


def _logprobs(request: Request) -> dict[str, Any]:
    """Ask for alternatives only where they are wanted: decoding them costs the most."""
    if not request.logprobs:
        return {}
    asked: dict[str, Any] = {"logprobs": True}
    if request.top_logprobs:
        asked["top_logprobs"] = request.top_logprobs
    return asked


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not UNSET:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _message(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.tool_calls:
        body["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        body["name"] = message.name
    return body


def _content(message: Message) -> Any:
    if isinstance(message.content, tuple):
        return [_part(part) for part in message.content]
    if message.content is None and not message.tool_calls:
        return ""
    return message.content


def _part(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        shown = {"url": part.url} | ({} if part.detail is UNSET else {"detail": part.detail})
        return {"type": "image_url", "image_url": shown}
    return {"type": "text", "text": part.text}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}
