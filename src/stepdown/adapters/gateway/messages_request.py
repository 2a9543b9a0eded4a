"""A request of the Anthropic messages wire as a Call.

Results of tools become messages of the role `tool`, as every tier reads them; marks for the
vendor's prompt cache stay on their parts. Source: Anthropic API reference, "Create a Message",
version 2023-06-01, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from stepdown.adapters.gateway.decoding import Decoding
from stepdown.adapters.gateway.extents import (
    LONGEST_STOP,
    MOST_MESSAGES,
    MOST_PARTS,
    MOST_STOP_SEQUENCES,
    MOST_TOOLS,
    check_schema,
    check_tools,
)
from stepdown.adapters.gateway.faults import BadBodyError
from stepdown.adapters.gateway.surface import Asking
from stepdown.core.asked import Asked, Format, Tool, ToolChoice
from stepdown.core.call import Call
from stepdown.core.hints import read_hints
from stepdown.core.request import ImagePart, Message, TextPart, ToolCall, encode_answer

Cache = dict[str, Any] | None
_Content = tuple[TextPart | ImagePart, ...]


class _Text(Struct, frozen=True, tag="text"):
    text: str
    cache_control: Cache = None


class _Bytes(Struct, frozen=True, tag="base64"):
    media_type: str
    data: str


class _Address(Struct, frozen=True, tag="url"):
    url: str


class _Image(Struct, frozen=True, tag="image"):
    source: _Bytes | _Address
    cache_control: Cache = None


class _Use(Struct, frozen=True, tag="tool_use"):
    id: str
    name: str
    input: dict[str, Any]


class _Thought(Struct, frozen=True, tag="thinking"):
    pass


class _HiddenThought(Struct, frozen=True, tag="redacted_thinking"):
    pass


_Shown = Annotated[tuple[_Text | _Image, ...], Meta(max_length=MOST_PARTS)]


class _Result(Struct, frozen=True, tag="tool_result"):
    tool_use_id: str
    content: str | _Shown = ""
    is_error: bool | None = None


_Block = _Text | _Image | _Use | _Result | _Thought | _HiddenThought
_Blocks = Annotated[tuple[_Block, ...], Meta(max_length=MOST_PARTS)]


class _Turn(Struct, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: str | _Blocks


class _Tool(Struct, frozen=True):
    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    type: Literal["custom"] | None = None
    strict: bool | None = None
    cache_control: Cache = None


class _Choice(Struct, frozen=True):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Shape(Struct, frozen=True, tag="json_schema"):
    schema: dict[str, Any]


class _Output(Struct, frozen=True, omit_defaults=True):
    format: _Shape | None = None
    effort: str | None = None


_Stop = Annotated[str, Meta(max_length=LONGEST_STOP)]


class MessagesRequest(Struct, frozen=True):
    """The fields of a messages request that mean the same to every tier."""

    model: str
    max_tokens: Annotated[int, Meta(ge=1)]
    messages: Annotated[tuple[_Turn, ...], Meta(min_length=1, max_length=MOST_MESSAGES)]
    system: str | tuple[_Text, ...] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop_sequences: Annotated[tuple[_Stop, ...], Meta(max_length=MOST_STOP_SEQUENCES)] | None = None
    tools: Annotated[tuple[_Tool, ...], Meta(max_length=MOST_TOOLS)] | None = None
    tool_choice: _Choice | None = None
    output_config: _Output | None = None
    stream: bool | None = None
    metadata: dict[str, str | None] | None = None


_decode = Decoding(MessagesRequest)
_MODES: Mapping[str, Any] = {"auto": "auto", "any": "required", "none": "none", "tool": "one"}
# The blocks of a thought do not come back through a gateway whose tiers may not think.
_IGNORED = ("thinking",)


def read_messages(body: bytes, request_id: str, hints: Mapping[str, str]) -> Asking:
    """Return the request in a body; its own metadata wins over `hints` from the headers.

    Raises:
        BadBodyError: not JSON, not UTF-8, too deep, or a field of a wrong type (named).
        InputError: a hint with a value that it cannot have.
    """
    request, rest = _decode(body)
    said = {name: text for name, text in (request.metadata or {}).items() if text is not None}
    metadata = {**hints, **said}
    call = Call(
        id=request_id,
        model=request.model,
        messages=(*_system(request.system), *_said(request.messages)),
        asked=_asked(request, rest),
        hints=read_hints(metadata),
        metadata=metadata,
    )
    return Asking(
        call=call,
        stream=bool(request.stream),
        usage_wanted=True,
        ignored=tuple(name for name in _IGNORED if name in rest),
    )


def _asked(request: MessagesRequest, rest: Mapping[str, Raw]) -> Asked:
    tools = tuple(_tool(tool) for tool in request.tools or ())
    check_tools(tools, "tools[{}].input_schema")
    choice = request.tool_choice
    alone = None if choice is None else choice.disable_parallel_tool_use
    return Asked(
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        stop=request.stop_sequences or (),
        tools=tools,
        tool_choice=_chosen(choice, tools),
        parallel_tools=None if alone is None else not alone,
        format=_format(request.output_config),
        wire="anthropic",
        extra=_extra(request, rest),
    )


def _extra(request: MessagesRequest, rest: Mapping[str, Raw]) -> dict[str, Any]:
    extra: dict[str, Any] = {name: raw for name, raw in rest.items() if name not in _IGNORED}
    output = request.output_config
    if output is not None and output.effort is not None:
        extra["output_config"] = {"effort": output.effort}
    if request.metadata and request.metadata.get("user_id"):
        extra["metadata"] = {"user_id": request.metadata["user_id"]}
    return extra


def _chosen(choice: _Choice | None, tools: tuple[Tool, ...]) -> ToolChoice | None:
    if choice is None:
        return None
    if not tools:
        raise BadBodyError("`tool_choice` needs `tools`.", "tool_choice")
    name = (choice.name or "") if choice.type == "tool" else ""
    if choice.type == "tool" and name not in {tool.name for tool in tools}:
        raise BadBodyError(f"there is no tool {name!r} among the tools.", "tool_choice.name")
    return ToolChoice(_MODES[choice.type], name)


def _format(output: _Output | None) -> Format | None:
    if output is None or output.format is None:
        return None
    check_schema(output.format.schema, "output_config.format.schema")
    return Format("json_schema", output.format.schema, strict=True)


def _tool(tool: _Tool) -> Tool:
    return Tool(
        name=tool.name,
        description=tool.description or "",
        parameters=tool.input_schema,
        strict=UNSET if tool.strict is None else tool.strict,
        cache_control=_kept(tool.cache_control),
    )


def _system(said: str | tuple[_Text, ...] | None) -> tuple[Message, ...]:
    if not said:
        return ()
    return (Message("system", said if isinstance(said, str) else _parts(said)),)


def _said(turns: Iterable[_Turn]) -> tuple[Message, ...]:
    return tuple(message for turn in turns for message in _messages(turn))


def _messages(turn: _Turn) -> Iterable[Message]:
    """Yield the results of tools in a turn, each as a message, then what else it says."""
    if isinstance(turn.content, str):
        yield Message(turn.role, turn.content)
        return
    yield from (_result(block) for block in turn.content if isinstance(block, _Result))
    parts = _parts(block for block in turn.content if isinstance(block, (_Text, _Image)))
    calls = tuple(_call(block) for block in turn.content if isinstance(block, _Use))
    if parts or calls:
        yield Message(turn.role, _plain(parts), calls)


def _result(block: _Result) -> Message:
    content = block.content
    return Message(
        role="tool",
        content=content if isinstance(content, str) else _plain(_parts(content)) or "",
        tool_call_id=block.tool_use_id,
        is_error=bool(block.is_error),
    )


def _plain(
    parts: tuple[TextPart | ImagePart, ...],
) -> str | tuple[TextPart | ImagePart, ...] | None:
    """Return a single text without marks as a string: every contract can read it."""
    if not parts:
        return None
    only = parts[0]
    is_bare = len(parts) == 1 and isinstance(only, TextPart) and only.cache_control is UNSET
    return only.text if is_bare and isinstance(only, TextPart) else parts


def _parts(blocks: Iterable[_Text | _Image]) -> _Content:
    return tuple(_part(block) for block in blocks)


def _part(block: _Text | _Image) -> TextPart | ImagePart:
    mark = _kept(block.cache_control)
    if isinstance(block, _Text):
        return TextPart(block.text, mark)
    source = block.source
    if isinstance(source, _Address):
        return ImagePart(source.url, cache_control=mark)
    return ImagePart(f"data:{source.media_type};base64,{source.data}", cache_control=mark)


def _kept(mark: Cache) -> Mapping[str, Any] | UnsetType:
    return UNSET if mark is None else mark


def _call(block: _Use) -> ToolCall:
    return ToolCall(id=block.id, name=block.name, arguments=encode_answer(block.input))
