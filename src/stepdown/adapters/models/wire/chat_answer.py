"""An answer of the OpenAI chat wire, whole or as a stream. It does not know HTTP or requests.

Only the fields that are needed are decoded, and log-probabilities only where they were asked for.
Source: OpenAI API reference, "The chat completion object" and "The chat completion chunk object",
2026-11.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from stepdown.adapters.models.wire.failures import Said
from stepdown.adapters.models.wire.hosted import MalformedError, ReportedError
from stepdown.core.request import (
    Chunk,
    Completion,
    Request,
    TokenLogprob,
    ToolCall,
    ToolPiece,
    Usage,
)

_LONGEST_DONE = 20  # bytes of the last event, white space around it included
Count = Annotated[int, Meta(ge=0)]

# Wire -> ours. Those from `eos` on are what servers of open models write.
ENDINGS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
}


class _Alternative(Struct, frozen=True):
    token: str
    logprob: float


class _Ranked(_Alternative, frozen=True):
    top_logprobs: tuple[_Alternative, ...] = ()


TokenT = TypeVar("TokenT")


class _Tokens(Struct, Generic[TokenT], frozen=True):
    content: tuple[TokenT, ...] | None = None


class _Skipped(Struct, frozen=True):
    """Log-probabilities that nobody asked for are not decoded."""


LogprobsT = TypeVar("LogprobsT")


class _Function(Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct, frozen=True):
    index: Count = 0
    id: str | None = None
    function: _Function = _Function()


class _Message(Struct, frozen=True, gc=False):
    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[_Call, ...] | None = None


class _Choice(Struct, Generic[LogprobsT], frozen=True, gc=False):
    message: _Message = _Message()
    delta: _Message = _Message()
    finish_reason: str | None = None
    logprobs: LogprobsT | None = None
    error: Said | str | None = None


class _InputDetails(Struct, frozen=True):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _OutputDetails(Struct, frozen=True):
    reasoning_tokens: Count | None = None


_NO_INPUT_DETAILS, _NO_OUTPUT_DETAILS = _InputDetails(), _OutputDetails()


class _Usage(Struct, frozen=True):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Body(Struct, Generic[LogprobsT], frozen=True, gc=False):
    choices: tuple[_Choice[LogprobsT], ...] = ()
    model: str = ""
    usage: _Usage | None = None
    error: Said | str | None = None


_bare = msgspec.json.Decoder(_Body[_Skipped])
_chosen = msgspec.json.Decoder(_Body[_Tokens[_Alternative]])
_ranked = msgspec.json.Decoder(_Body[_Tokens[_Ranked]])


def _decoder(request: Request) -> msgspec.json.Decoder[Any]:
    if not request.logprobs:
        return _bare
    return _ranked if request.top_logprobs else _chosen


def read_chat(data: bytes, request: Request) -> Completion:
    """Return the answer in a whole body.

    Raises:
        MalformedError, msgspec.MsgspecError: not a chat completion.
        ReportedError: the body reports an error.
    """
    body = _decoder(request).decode(data)
    choice = _only(body)
    if choice is None:
        raise MalformedError("it has no choices")
    message = choice.message
    return Completion(
        text=(message.content or "") + (message.refusal or ""),
        finish_reason=_ending(choice.finish_reason, refused=message.refusal is not None),
        tool_calls=_calls(dict(enumerate(message.tool_calls))) if message.tool_calls else (),
        usage=_usage(body.usage),
        logprobs=_logprobs(choice.logprobs),
        model=body.model,
    )


class ChatReading:
    """Collects a streamed answer; it is whole when `[DONE]` came after a finish reason."""

    def __init__(self, request: Request) -> None:
        self._decoder = _decoder(request)
        self._texts: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._has_logprobs = False
        self._is_refused = False
        self._calls: dict[int, _Call] = {}
        self._finish_reason: str | None = None
        self._usage: _Usage | None = None
        self._model = ""
        self._done = False

    @property
    def done(self) -> bool:
        """Whether the stream said that it is over."""
        return self._done

    def take(self, event: bytes) -> Chunk | None:
        """Take one event in; return what it adds to the answer.

        Raises:
            MalformedError, msgspec.MsgspecError: not a chunk.
            ReportedError: the server gave up in the middle.
        """
        if len(event) < _LONGEST_DONE and event.strip() == b"[DONE]":
            self._done = True
            return None
        body = self._decoder.decode(event)
        if (text := self._bare_text(body)) is not None:
            self._texts.append(text)
            return Chunk(text=text)
        choice = _only(body)
        self._model = body.model or self._model
        if body.usage is not None:
            self._usage = body.usage
        if choice is not None:
            return self._add(choice)
        ended = self._finish_reason is not None and body.usage is not None
        return Chunk(usage=_usage(body.usage)) if ended else None

    def completion(self) -> Completion:
        """Return the whole answer."""
        return Completion(
            text="".join(self._texts),
            finish_reason=_ending(self._finish_reason, refused=self._is_refused),
            tool_calls=_calls(self._calls),
            usage=_usage(self._usage),
            logprobs=tuple(self._logprobs) if self._has_logprobs else None,
            model=self._model,
        )

    def _add(self, choice: _Choice[Any]) -> Chunk | None:
        delta = choice.delta
        self._finish_reason = choice.finish_reason or self._finish_reason
        self._is_refused = self._is_refused or delta.refusal is not None
        tools = tuple(self._call_piece(call) for call in delta.tool_calls or ())
        text = (delta.content or "") + (delta.refusal or "")
        logprobs = _logprobs(choice.logprobs)
        self._has_logprobs = self._has_logprobs or logprobs is not None
        self._texts.append(text)
        self._logprobs += logprobs or ()
        made = Chunk(
            text=text, logprobs=logprobs or (), tools=tools, finish_reason=self._end(choice)
        )
        return made if made.adds or made.finish_reason is not None else None

    def _bare_text(self, body: _Body[Any]) -> str | None:
        """Return the text of a chunk that is nothing but text, as nearly every one is."""
        if not (body.choices and body.error is None and body.usage is None and self._model):
            return None
        choice = body.choices[0]
        silent = choice.logprobs is None or self._decoder is _bare
        if not silent or choice.finish_reason is not None or choice.error is not None:
            return None
        delta = choice.delta
        is_more = delta.tool_calls is not None or delta.refusal is not None
        return None if is_more else delta.content or None

    def _end(self, choice: _Choice[Any]) -> str | None:
        """Return why it ended, where this chunk says so; a word that is not known is not told."""
        if choice.finish_reason not in ENDINGS:
            return None
        return _ending(choice.finish_reason, refused=self._is_refused)

    def _call_piece(self, piece: _Call) -> ToolPiece:
        """Note a part of a call; return it as the caller sees it, its id and name only once."""
        before = self._calls.get(piece.index)
        whole = self._calls[piece.index] = _joined(before, piece)
        name = whole.function.name or ""
        is_named = before is not None and bool(before.function.name)
        said = piece.function.arguments or ""
        if not name or is_named:
            return ToolPiece(piece.index, arguments=said)
        made = whole.id or f"call_{piece.index}"
        return ToolPiece(piece.index, made, name, whole.function.arguments or "")


def _only(body: _Body[Any]) -> _Choice[Any] | None:
    """Return the one choice, None when there is none (the last chunk holds only the usage)."""
    choice = body.choices[0] if body.choices else None
    if body.error is not None:
        raise ReportedError(body.error)
    if choice is not None and choice.error is not None:
        raise ReportedError(choice.error)
    return choice


def _ending(reason: str | None, *, refused: bool) -> str:
    """Return our word for why it ended; an unknown one may hide a cut answer."""
    if refused:
        return "refusal"
    if reason not in ENDINGS:
        raise MalformedError(f"it ended with {reason!r}")
    return ENDINGS[reason]


def _calls(found: dict[int, _Call]) -> tuple[ToolCall, ...]:
    return tuple(_call(index, found[index]) for index in sorted(found))


def _call(index: int, call: _Call) -> ToolCall:
    if not call.function.name:
        raise MalformedError(f"tool call {index} names no function")
    # Ollama and some others leave the id out; the caller needs one to answer the call.
    made = call.id or f"call_{index}"
    return ToolCall(id=made, name=call.function.name, arguments=call.function.arguments or "{}")


def _joined(before: _Call | None, piece: _Call) -> _Call:
    if before is None:
        return piece
    function = _Function(
        name=before.function.name or piece.function.name,
        arguments=(before.function.arguments or "") + (piece.function.arguments or ""),
    )
    return _Call(index=piece.index, id=before.id or piece.id, function=function)


def _logprobs(found: Any) -> tuple[TokenLogprob, ...] | None:
    if not isinstance(found, _Tokens) or found.content is None:
        return None
    return tuple([_token(token) for token in found.content])


def _token(token: _Alternative) -> TokenLogprob:
    if not isinstance(token, _Ranked):
        return TokenLogprob(token.token, token.logprob)
    top = tuple([(other.token, other.logprob) for other in token.top_logprobs])
    return TokenLogprob(token.token, token.logprob, top)


def _usage(found: _Usage | None) -> Usage:
    """Return the counts; what the server leaves out is unknown, not zero."""
    if found is None:
        return Usage()
    details = found.prompt_tokens_details or _NO_INPUT_DETAILS
    written = found.completion_tokens_details or _NO_OUTPUT_DETAILS
    return Usage(
        input_tokens=found.prompt_tokens,
        output_tokens=found.completion_tokens,
        cached_tokens=details.cached_tokens,
        cache_write_tokens=details.cache_write_tokens,
        reasoning_tokens=written.reasoning_tokens,
    )
