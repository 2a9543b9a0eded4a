"""The OpenAI chat wire: a request body to a Call, a Reply to a response body.

Unknown fields are tolerated, because callers send many; a wrong type is an error that names its
path. It does not know HTTP. Source: OpenAI API reference, "Create chat completion", 2026-11.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from stepdown.core.asked import Asked, Tool
from stepdown.core.call import Call, Reply
from stepdown.core.hints import read_hints
from stepdown.core.request import ImagePart, Message, TextPart, ToolCall, Usage

_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_AT = re.compile(r" - at `\$\.?(.*?)`$")


class BadBodyError(Exception):
    """The body is not a chat request: a sentence, and the path of the part that is wrong."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class _Url(Struct, frozen=True):
    url: str


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


class _Message(Struct, frozen=True):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | tuple[_Text | _Image | _Refusal, ...] | None = None
    tool_calls: tuple[_ToolCall, ...] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class _Function(Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(Struct, frozen=True):
    type: Literal["function"]
    function: _Function


class _StreamOptions(Struct, frozen=True):
    include_usage: bool | None = None


class ChatRequest(Struct, frozen=True):
    """The fields of a chat request that matter here; those from `stop` on are only noticed."""

    model: str
    messages: Annotated[tuple[_Message, ...], Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    tools: tuple[_Tool, ...] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    metadata: dict[str, str] | None = None
    n: Annotated[int, Meta(ge=1, le=1)] | None = None
    stop: Raw | UnsetType = UNSET
    seed: Raw | UnsetType = UNSET
    top_p: Raw | UnsetType = UNSET
    logprobs: Raw | UnsetType = UNSET
    tool_choice: Raw | UnsetType = UNSET
    response_format: Raw | UnsetType = UNSET
    presence_penalty: Raw | UnsetType = UNSET
    frequency_penalty: Raw | UnsetType = UNSET
    logit_bias: Raw | UnsetType = UNSET
    reasoning_effort: Raw | UnsetType = UNSET

    @property
    def ignored(self) -> tuple[str, ...]:
        """The fields that the caller set and that change nothing here."""
        return tuple(name for name in _NOTICED if getattr(self, name) is not UNSET)

    @property
    def usage_wanted(self) -> bool:
        """Whether a stream must end with the token counts."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


_fields = ChatRequest.__struct_fields__
_NOTICED = _fields[_fields.index("stop") :]
_decoder = msgspec.json.Decoder(ChatRequest)
_encoder = msgspec.json.Encoder()


def decode_chat(body: bytes) -> ChatRequest:
    """Return the request in a body.

    Raises:
        BadBodyError: not JSON, not UTF-8, too deep, or a field of a wrong type (named).
    """
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _named(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadBodyError(f"the body is not valid JSON: {error}") from error
    except RecursionError as error:
        raise BadBodyError("the body is nested too deeply") from error


def _named(said: str) -> BadBodyError:
    found = _AT.search(said)
    param = found.group(1) if found else None
    missing = re.search(r"missing required field `(\w+)`", said)
    if missing:
        param = f"{param}.{missing.group(1)}" if param else missing.group(1)
    return BadBodyError(said, param or None)


def safe_id(asked: str) -> str:
    """Return the caller's request id when it is safe to print and to keep, else a new one."""
    return asked if _SAFE_ID.fullmatch(asked) else new_id()


def new_id() -> str:
    """Return a request id that nobody else has."""
    return f"req-{secrets.token_hex(12)}"


def call_from(request: ChatRequest, request_id: str, hints: Mapping[str, str]) -> Call:
    """Return the Call of a request; its own metadata wins over `hints` from the headers."""
    metadata = {**hints, **(request.metadata or {})}
    asked = Asked(
        max_tokens=request.max_completion_tokens or request.max_tokens,
        temperature=request.temperature,
        tools=tuple(_tool(tool.function) for tool in request.tools or ()),
        wire="openai",
    )
    return Call(
        id=request_id,
        model=request.model,
        messages=tuple(_message(message) for message in request.messages),
        asked=asked,
        hints=read_hints(metadata),
        metadata=metadata,
    )


def _message(message: _Message) -> Message:
    content = message.content
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
        return ImagePart(url=part.image_url.url)
    return TextPart(text=part.text if isinstance(part, _Text) else part.refusal)


def _tool(function: _Function) -> Tool:
    return Tool(
        name=function.name,
        description=function.description or "",
        parameters=function.parameters or {},
    )


def completion_body(reply: Reply, request_id: str, created: int) -> bytes:
    """Return the JSON body of a complete answer; `usage` is left out when it is not known."""
    message = {"role": "assistant", "content": reply.text, "refusal": None, **_tool_calls(reply)}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": reply.finish_reason,
    }
    body = _envelope("chat.completion", reply, request_id, created)
    return _encoder.encode({**body, "choices": [choice], **_usage(reply.usage)})


def stream_body(reply: Reply, request_id: str, created: int, *, usage: bool) -> bytes:
    """Return a complete answer as the events of a stream: role, text, end, `[DONE]`."""
    start = _envelope("chat.completion.chunk", reply, request_id, created)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, {"content": reply.text}]
    if reply.tool_calls:
        deltas.append(_tool_calls(reply, numbered=True))
    chunks = [{**start, "choices": [_delta(delta)]} for delta in deltas]
    chunks.append({**start, "choices": [_delta({}, reply.finish_reason)]})
    told = _usage(reply.usage)
    if usage and told:
        chunks.append({**start, "choices": [], **told})
    events = [b"data: %b\n\n" % _encoder.encode(chunk) for chunk in chunks]
    return b"".join([*events, b"data: [DONE]\n\n"])


def _envelope(kind: str, reply: Reply, request_id: str, created: int) -> dict[str, Any]:
    name = f"chatcmpl-{request_id}"
    return {"id": name, "object": kind, "created": created, "model": reply.model}


def _delta(delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _tool_calls(reply: Reply, *, numbered: bool = False) -> dict[str, Any]:
    if not reply.tool_calls:
        return {}
    return {"tool_calls": [_called(i, c, numbered) for i, c in enumerate(reply.tool_calls)]}


def _called(index: int, call: ToolCall, numbered: bool) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    body = {"id": call.id, "type": "function", "function": function}
    return {"index": index, **body} if numbered else body


def _usage(usage: Usage) -> dict[str, Any]:
    """Return the usage block, or nothing: official clients require whole numbers in it."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return {}
    block: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    if usage.cached_tokens is not None:
        block["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        block["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return {"usage": block}


def model_body(name: str) -> dict[str, Any]:
    """Return one model of the list; nobody knows when a task was created, so it says 0."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "stepdown"}


def encode(value: Any) -> bytes:
    """Return plain values as JSON."""
    return _encoder.encode(value)
