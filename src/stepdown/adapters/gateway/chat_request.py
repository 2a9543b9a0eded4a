"""A request of the OpenAI chat wire as a Call.

A wrong type is an error that names its path. What this module does not know reaches tiers of the
same wire unchanged, or is named in a header. Source: OpenAI API reference, "Create chat
completion", 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from stepdown.adapters.gateway.decoding import Decoding
from stepdown.adapters.gateway.extents import (
    LONGEST_STOP,
    MOST_CHOICES,
    MOST_MESSAGES,
    MOST_PARTS,
    MOST_STOPS,
    MOST_TOOLS,
    MOST_TOP_LOGPROBS,
    check_schema,
    check_tools,
)
from stepdown.adapters.gateway.faults import BadBodyError
from stepdown.adapters.gateway.surface import Asking
from stepdown.core.asked import Asked, Format, Tool, ToolChoice
from stepdown.core.call import Call
from stepdown.core.hints import read_hints
from stepdown.core.request import ImagePart, Message, TextPart, ToolCall

# No tier may be asked for these: the answer would not be what the caller reads.
_REFUSED = {
    "functions": "use `tools`",
    "function_call": "use `tool_choice`",
    "audio": "this gateway answers in text",
}
# These say nothing to a tier: whether a vendor keeps the answer is the operator's choice.
_IGNORED = ("store",)


class _Url(Struct, frozen=True):
    url: str
    detail: str | None = None


class _Text(Struct, frozen=True, tag="text"):
    text: str


class _Refusal(Struct, frozen=True, tag="refusal"):
    refusal: str


class _Image(Struct, frozen=True, tag="image_url"):
    image_url: _Url


class _CalledFunction(Struct, frozen=True):
    name: str
    arguments: str = ""


class _ToolCall(Struct, frozen=True):
    id: str
    function: _CalledFunction


_Parts = Annotated[tuple[_Text | _Image | _Refusal, ...], Meta(max_length=MOST_PARTS)]


class _Message(Struct, frozen=True):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | _Parts | None = None
    tool_calls: Annotated[tuple[_ToolCall, ...], Meta(max_length=MOST_TOOLS)] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class _Function(Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(Struct, frozen=True):
    type: Literal["function"]
    function: _Function


class _Named(Struct, frozen=True):
    name: str


class _OneTool(Struct, frozen=True, tag="function"):
    function: _Named


class _Listed(Struct, frozen=True):
    function: _Named
    type: Literal["function"] = "function"


class _AllowedTools(Struct, frozen=True):
    mode: Literal["auto", "required"]
    tools: tuple[_Listed, ...]


class _Allowed(Struct, frozen=True, tag="allowed_tools"):
    allowed_tools: _AllowedTools


class _TextFormat(Struct, frozen=True, tag="text"):
    pass


class _ObjectFormat(Struct, frozen=True, tag="json_object"):
    pass


class _Schema(Struct, frozen=True):
    name: Annotated[str, Meta(max_length=64)]
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class _SchemaFormat(Struct, frozen=True, tag="json_schema"):
    json_schema: _Schema


class _StreamOptions(Struct, frozen=True):
    include_usage: bool | None = None


_Stop = Annotated[str, Meta(max_length=LONGEST_STOP)]


class ChatRequest(Struct, frozen=True):
    """The fields of a chat request that mean the same to every tier."""

    model: str
    messages: Annotated[tuple[_Message, ...], Meta(min_length=1, max_length=MOST_MESSAGES)]
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: _Stop | Annotated[tuple[_Stop, ...], Meta(max_length=MOST_STOPS)] | None = None
    tools: Annotated[tuple[_Tool, ...], Meta(max_length=MOST_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | _OneTool | _Allowed | None = None
    parallel_tool_calls: bool | None = None
    response_format: _TextFormat | _ObjectFormat | _SchemaFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=MOST_TOP_LOGPROBS)] | None = None
    n: Annotated[int, Meta(ge=1, le=MOST_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    metadata: dict[str, str] | None = None


_decode = Decoding(ChatRequest)


def read_chat(body: bytes, request_id: str, hints: Mapping[str, str]) -> Asking:
    """Return the request in a body; its own metadata wins over `hints` from the headers.

    Raises:
        BadBodyError: not JSON, not UTF-8, too deep, or a field of a wrong type (named).
        InputError: a hint with a value that it cannot have.
    """
    request, rest = _decode(body)
    if rest:
        _refuse_some(rest)
    metadata = {**hints, **request.metadata} if request.metadata else hints
    call = Call(
        id=request_id,
        model=request.model,
        messages=tuple([_message(message) for message in request.messages]),
        asked=_asked(request, rest),
        hints=read_hints(metadata),
        metadata=metadata,
    )
    options = request.stream_options
    return Asking(
        call=call,
        stream=bool(request.stream),
        usage_wanted=options is not None and bool(options.include_usage),
        ignored=tuple([name for name in _IGNORED if name in rest]) if rest else (),
    )


def _refuse_some(rest: Mapping[str, Raw]) -> None:
    for name, instead in _REFUSED.items():
        if name in rest:
            raise BadBodyError(f"`{name}` is not supported: {instead}.", name)


def _asked(request: ChatRequest, rest: Mapping[str, Raw]) -> Asked:
    tools, choice = _chosen(request)
    if request.top_logprobs is not None and not request.logprobs:
        raise BadBodyError("`top_logprobs` needs `logprobs: true`.", "top_logprobs")
    stop = request.stop or ()
    return Asked(
        max_tokens=request.max_completion_tokens or request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        seed=request.seed,
        stop=(stop,) if isinstance(stop, str) else stop,
        tools=tools,
        tool_choice=choice,
        parallel_tools=request.parallel_tool_calls,
        format=_format(request.response_format),
        n=request.n or 1,
        logprobs=bool(request.logprobs),
        top_logprobs=request.top_logprobs or 0,
        wire="openai",
        extra={n: value for n, value in rest.items() if n not in _IGNORED} if rest else rest,
    )


def _chosen(request: ChatRequest) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """Return the tools and which of them may be called; a choice must name tools that are there."""
    if request.tools is None and request.tool_choice is None:
        return (), None
    tools = tuple(_tool(tool.function) for tool in request.tools or ())
    check_tools(tools, "tools[{}].function.parameters")
    said = request.tool_choice
    if said is None:
        return tools, None
    if not tools:
        raise BadBodyError("`tool_choice` needs `tools`.", "tool_choice")
    if isinstance(said, str):
        return tools, ToolChoice(said)
    names = [said.function.name] if isinstance(said, _OneTool) else _allowed(said)
    if unknown := [name for name in names if name not in {tool.name for tool in tools}]:
        raise BadBodyError(f"there is no tool {unknown[0]!r} among the tools.", "tool_choice")
    if isinstance(said, _OneTool):
        return tools, ToolChoice("one", said.function.name)
    kept = tuple(tool for tool in tools if tool.name in names)
    return kept, ToolChoice(said.allowed_tools.mode)


def _allowed(said: _Allowed) -> list[str]:
    return [tool.function.name for tool in said.allowed_tools.tools]


def _format(said: _TextFormat | _ObjectFormat | _SchemaFormat | None) -> Format | None:
    if said is None:
        return None
    if not isinstance(said, _SchemaFormat):
        return Format("text" if isinstance(said, _TextFormat) else "json_object")
    shape = said.json_schema
    schema = shape.schema or {}
    check_schema(schema, "response_format.json_schema.schema")
    return Format("json_schema", schema, shape.name, shape.description, shape.strict)


def _message(message: _Message) -> Message:
    content = message.content
    if isinstance(content, str) and message.tool_calls is None and message.tool_call_id is None:
        return Message(role=message.role, content=content, name=message.name)
    return Message(
        role=message.role,
        content=content if content is None or isinstance(content, str) else _parts(content),
        tool_calls=tuple(
            ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in message.tool_calls or ()
        ),
        tool_call_id=message.tool_call_id,
        name=message.name,
    )


def _parts(parts: Iterable[_Text | _Image | _Refusal]) -> tuple[TextPart | ImagePart, ...]:
    return tuple(_part(part) for part in parts)


def _part(part: _Text | _Image | _Refusal) -> TextPart | ImagePart:
    if isinstance(part, _Image):
        detail = part.image_url.detail
        return ImagePart(part.image_url.url, msgspec.UNSET if detail is None else detail)
    return TextPart(text=part.text if isinstance(part, _Text) else part.refusal)


def _tool(function: _Function) -> Tool:
    return Tool(
        name=function.name,
        description=function.description or "",
        parameters=function.parameters or {},
        strict=msgspec.UNSET if function.strict is None else function.strict,
    )
