"""Messages and tools as people write them in files: the shapes of the OpenAI chat API.

Source: OpenAI API reference, "Create chat completion", 2026-11. `arguments` may be an object too.
A tool may also be written bare, without `{"type": "function", "function": ...}` around it. It does
not know where the values were read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from stepdown.core.request import ImagePart, Message, TextPart, Tool, ToolCall, encode_answer

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class _Text(Struct, frozen=True, tag="text"):
    text: str


class _Url(Struct, frozen=True):
    url: str


class _Image(Struct, frozen=True, tag="image_url"):
    image_url: _Url


class _Called(Struct, frozen=True):
    name: str
    arguments: str | dict[str, Any] = "{}"


class _ToolCall(Struct, frozen=True):
    function: _Called
    id: str = ""


class _Message(Struct, frozen=True):
    role: Role
    content: str | list[_Text | _Image] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class _Function(Struct, frozen=True):
    name: str
    description: str | None = ""
    parameters: dict[str, Any] | None = None


class _Tool(Struct, frozen=True):
    function: _Function


class NotChatError(ValueError):
    """A value that is no message or tool; says why."""


def messages_of(plain: object) -> tuple[Message, ...]:
    """Return a list of plain messages as values.

    Raises:
        NotChatError: something is no message; says which and why.
    """
    return tuple(_message(each) for each in _convert(plain, list[_Message], "messages"))


def tools_of(plain: object) -> tuple[Tool, ...]:
    """Return a list of plain tools as values.

    Raises:
        NotChatError: something is no tool, or two have one name.
    """
    if not isinstance(plain, list | tuple):
        raise NotChatError(f"expected a list of tools, got {type(plain).__name__}")
    found = tuple(_tool(each, number) for number, each in enumerate(plain, 1))
    names = [tool.name for tool in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise NotChatError(f"two tools are called {twice[0]!r}")
    return found


def plain_tool(tool: Tool) -> dict[str, Any]:
    """Return a tool as it stands in a prompt: name, description, parameters."""
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parameters": dict(tool.parameters)}


def _tool(plain: object, number: int) -> Tool:
    wrapped = isinstance(plain, Mapping) and isinstance(plain.get("function"), Mapping)
    where = f"tool {number}"
    said = _convert(plain, _Tool, where).function if wrapped else _convert(plain, _Function, where)
    if not said.name:
        raise NotChatError(f"{where} has no name")
    return Tool(said.name, said.description or "", said.parameters or {})


def _message(said: _Message) -> Message:
    content = said.content
    return Message(
        role=said.role,
        content=tuple(_part(part) for part in content) if isinstance(content, list) else content,
        tool_calls=tuple(_call(call) for call in said.tool_calls or ()),
        tool_call_id=said.tool_call_id,
        name=said.name,
    )


def _part(part: _Text | _Image) -> TextPart | ImagePart:
    return TextPart(part.text) if isinstance(part, _Text) else ImagePart(part.image_url.url)


def _call(call: _ToolCall) -> ToolCall:
    said = call.function.arguments
    text = said if isinstance(said, str) else encode_answer(said)
    return ToolCall(id=call.id, name=call.function.name, arguments=text)


def _convert(plain: object, kind: Any, what: str) -> Any:
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        raise NotChatError(f"{what}: {error}") from None
