"""A request in the words of the OpenAI chat wire. It does not know HTTP or answers.

Source: OpenAI API reference, "Create chat completion", 2026-11.
"""

from __future__ import annotations

from typing import Any

from stepdown.core.request import ImagePart, Message, Request, TextPart, Tool, ToolCall


def chat_messages(request: Request) -> list[dict[str, Any]]:
    """Return the request's messages, or its bare input as the only one."""
    said = request.messages or (Message(role="user", content=request.input),)
    return [_message(message) for message in said]


def chat_options(request: Request) -> dict[str, Any]:
    """Return what decides the answer besides the messages, except the token limit.

    A closed label set adds nothing: the answer is read back by `core.requesting`.
    """
    options: dict[str, Any] = {"temperature": request.temperature}
    if request.seed is not None:
        options["seed"] = request.seed
    if request.stop:
        options["stop"] = list(request.stop)
    if request.schema is not None:
        options["response_format"] = _strict(request.schema)
    if request.tools:
        options["tools"] = [_tool(tool) for tool in request.tools]
    return options | _logprobs(request)


def _logprobs(request: Request) -> dict[str, Any]:
    """Ask for alternatives only where they are wanted: decoding them costs the most."""
    if not request.logprobs:
        return {}
    asked: dict[str, Any] = {"logprobs": True}
    if request.top_logprobs:
        asked["top_logprobs"] = request.top_logprobs
    return asked


def _strict(schema: Any) -> dict[str, Any]:
    named = {"name": "answer", "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": named}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
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
        return {"type": "image_url", "image_url": {"url": part.url}}
    return {"type": "text", "text": part.text}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}
