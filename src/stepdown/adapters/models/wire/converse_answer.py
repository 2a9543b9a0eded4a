"""An answer of the Bedrock Converse wire, whole or as a stream. It does not know HTTP.

Source: Amazon Bedrock API reference, "Converse" and "ConverseStream", version 2023-09-30, read
2026-11. Reasoning and other blocks that nobody asked for are skipped. Input tokens leave out what
the cache read and wrote (Bedrock user guide, "Prompt caching for faster model inference").
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from stepdown.adapters.models.wire.failures import Said
from stepdown.adapters.models.wire.hosted import MalformedError, ReportedError
from stepdown.core.request import Chunk, Completion, ToolCall, ToolPiece, Usage

Count = Annotated[int, Meta(ge=0)]

# Wire -> ours. The two `malformed_` ones are no endings of an answer that could be sent.
ENDINGS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
# Exceptions of a stream, with the status that carries them outside of one.
STATUSES = {
    "throttlingException": 429,
    "serviceUnavailableException": 503,
    "validationException": 400,
    "modelStreamErrorException": 424,
}


class _Usage(Struct, frozen=True, rename="camel"):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_write_input_tokens: Count | None = None


class _Use(Struct, frozen=True, rename="camel"):
    tool_use_id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class _Block(Struct, frozen=True, rename="camel"):
    text: str | None = None
    tool_use: _Use | None = None


class _Message(Struct, frozen=True):
    content: tuple[_Block, ...] = ()


class _Output(Struct, frozen=True):
    message: _Message = _Message()


class _Body(Struct, frozen=True, rename="camel"):
    output: _Output = _Output()
    stop_reason: str | None = None
    usage: _Usage | None = None


class _Event(Struct, frozen=True, rename="camel"):
    """The payload of any event: each kind fills what belongs to it."""

    content_block_index: Count = 0
    start: _Block = _Block()
    delta: _Block = _Block()
    stop_reason: str | None = None
    usage: _Usage | None = None
    message: str | None = None


class _Named(Struct, frozen=True):
    kind: str
    payload: Raw
    failed: bool = False


_bodies = msgspec.json.Decoder(_Body)
_named = msgspec.json.Decoder(_Named)
_events = msgspec.json.Decoder(_Event)


def read_converse(data: bytes) -> Completion:
    """Return the answer in a whole body.

    Raises:
        MalformedError, msgspec.MsgspecError: not an answer of Converse.
    """
    body = _bodies.decode(data)
    blocks = body.output.message.content
    texts = [block.text for block in blocks if block.text is not None]
    calls = [_call(block.tool_use) for block in blocks if block.tool_use is not None]
    return _completion("".join(texts), calls, body.stop_reason, body.usage)


class ConverseReading:
    """Collects a streamed answer; it is whole when `metadata`, its last event, came."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._uses: dict[int, _Use] = {}
        self._inputs: dict[int, list[str]] = {}
        self._stop_reason: str | None = None
        self._usage: _Usage | None = None

    @property
    def done(self) -> bool:
        """Whether the stream said that it is over."""
        return self._stop_reason is not None and self._usage is not None

    def take(self, event: bytes) -> Chunk | None:
        """Take one event in; return what it adds to the answer.

        Raises:
            MalformedError, msgspec.MsgspecError: not an event.
            ReportedError: the server gave up in the middle.
        """
        named = _named.decode(event)
        found = _events.decode(named.payload) if bytes(named.payload) else _Event()
        if named.failed:
            status = STATUSES.get(named.kind, 500)
            raise ReportedError(Said(message=found.message, type=named.kind, code=status))
        self._stop_reason = found.stop_reason or self._stop_reason
        self._usage = found.usage or self._usage
        if named.kind == "contentBlockStart" and found.start.tool_use is not None:
            return self._called(found.content_block_index, found.start.tool_use)
        return self._add(found) if named.kind == "contentBlockDelta" else None

    def completion(self) -> Completion:
        """Return the whole answer."""
        calls = [self._written(index) for index in sorted(self._uses)]
        return _completion("".join(self._texts), calls, self._stop_reason, self._usage)

    def _add(self, event: _Event) -> Chunk | None:
        if event.delta.tool_use is not None:
            piece = msgspec.json.decode(event.delta.tool_use.input, type=str)
            self._inputs.setdefault(event.content_block_index, []).append(piece)
            return Chunk(tools=(ToolPiece(self._place(event), arguments=piece),))
        if not event.delta.text:
            return None
        self._texts.append(event.delta.text)
        return Chunk(text=event.delta.text)

    def _called(self, index: int, use: _Use) -> Chunk:
        """Return the start of a tool call; its arguments come after it."""
        self._uses[index] = use
        return Chunk(tools=(ToolPiece(len(self._uses) - 1, use.tool_use_id, use.name),))

    def _place(self, event: _Event) -> int:
        """Return which of the tool calls a block is, from 0."""
        if event.content_block_index not in self._uses:
            raise MalformedError(f"block {event.content_block_index} was never started")
        return list(self._uses).index(event.content_block_index)

    def _written(self, index: int) -> ToolCall:
        use = self._uses[index]
        return ToolCall(use.tool_use_id, use.name, "".join(self._inputs.get(index, ())) or "{}")


def _call(use: _Use) -> ToolCall:
    return ToolCall(id=use.tool_use_id, name=use.name, arguments=bytes(use.input).decode())


def _completion(
    text: str, calls: list[ToolCall], stop_reason: str | None, usage: _Usage | None
) -> Completion:
    if stop_reason not in ENDINGS:
        raise MalformedError(f"it ended with {stop_reason!r}")
    return Completion(
        text=text,
        finish_reason=ENDINGS[stop_reason],
        tool_calls=tuple(calls),
        usage=Usage() if usage is None else _total(usage),
    )


def _total(usage: _Usage) -> Usage:
    read, written = usage.cache_read_input_tokens, usage.cache_write_input_tokens
    fresh = usage.input_tokens
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=usage.output_tokens,
        cached_tokens=read,
        cache_write_tokens=written,
    )
