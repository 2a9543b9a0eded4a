"""An answer of the Anthropic messages wire, whole or as a stream. It does not know HTTP.

Blocks of kinds that nobody asked for (thinking) are skipped. Source: Anthropic API reference,
"Create a Message" and "Streaming messages", 2026-11.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from stepdown.adapters.models.wire.failures import Said
from stepdown.adapters.models.wire.hosted import MalformedError, ReportedError
from stepdown.core.request import Chunk, Completion, ToolCall, ToolPiece, Usage

Count = Annotated[int, Meta(ge=0)]

# Wire -> ours. `pause_turn` belongs to the vendor's own tools, which are never asked for.
ENDINGS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}


class _OutputDetails(Struct, frozen=True):
    thinking_tokens: Count | None = None


_Ending = tuple[str | None, str | None]  # the reason, and which stop sequence it was


class _Usage(Struct, frozen=True):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    output_tokens_details: _OutputDetails | None = None


class _Block(Struct, frozen=True):
    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class _Body(Struct, frozen=True):
    content: tuple[_Block, ...] = ()
    stop_reason: str | None = None
    stop_sequence: str | None = None
    model: str = ""
    usage: _Usage = _Usage()
    error: Said | str | None = None


class _Delta(Struct, frozen=True):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(Struct, frozen=True):
    type: str
    index: Count = 0
    message: _Body = _Body()
    content_block: _Block = _Block(type="")
    delta: _Delta = _Delta()
    usage: _Usage | None = None
    error: Said | str | None = None


_bodies = msgspec.json.Decoder(_Body)
_events = msgspec.json.Decoder(_Event)


def read_message(data: bytes) -> Completion:
    """Return the answer in a whole body.

    Raises:
        MalformedError, msgspec.MsgspecError: not a message.
        ReportedError: the body reports an error.
    """
    body = _bodies.decode(data)
    if body.error is not None:
        raise ReportedError(body.error)
    return _completion(body, body.content, (body.stop_reason, body.stop_sequence), body.usage)


class MessageReading:
    """Collects a streamed answer; it is whole when `message_stop` came."""

    def __init__(self) -> None:
        self._start = _Body()
        self._blocks: dict[int, _Block] = {}
        self._texts: dict[int, list[str]] = {}
        self._ending: _Ending = (None, None)
        self._usage = _Usage()
        self._done = False

    @property
    def done(self) -> bool:
        """Whether the stream said that it is over."""
        return self._done

    def take(self, event: bytes) -> Chunk | None:
        """Take one event in; return what it adds to the answer.

        Kinds of events that are not known are skipped, as the wire's document asks.

        Raises:
            MalformedError, msgspec.MsgspecError: not an event.
            ReportedError: the server gave up in the middle.
        """
        found = _events.decode(event)
        if found.error is not None:
            raise ReportedError(found.error)
        if found.type == "content_block_delta":
            return self._add(found)
        self._note(found)
        return self._called(found) if found.type == "content_block_start" else None

    def completion(self) -> Completion:
        """Return the whole answer."""
        blocks = tuple(self._block(index) for index in sorted(self._blocks))
        return _completion(self._start, blocks, self._ending, self._usage)

    def _note(self, event: _Event) -> None:
        if event.type == "message_start":
            self._start, self._usage = event.message, event.message.usage
        elif event.type == "content_block_start":
            self._blocks[event.index] = event.content_block
            self._texts[event.index] = [event.content_block.text]
        elif event.type == "message_delta":
            if event.delta.stop_reason is not None:
                self._ending = (event.delta.stop_reason, event.delta.stop_sequence)
            self._usage = _newer(self._usage, event.usage)
        elif event.type == "message_stop":
            self._done = True

    def _add(self, event: _Event) -> Chunk | None:
        if event.index not in self._blocks:
            raise MalformedError(f"block {event.index} was never started")
        delta = event.delta
        self._texts[event.index].append(delta.text or delta.partial_json)
        if delta.partial_json:
            piece = ToolPiece(self._place(event.index), arguments=delta.partial_json)
            return Chunk(tools=(piece,))
        return Chunk(text=delta.text) if delta.text else None

    def _called(self, event: _Event) -> Chunk | None:
        """Return the start of a tool call; its arguments come after it."""
        block = event.content_block
        if block.type != "tool_use":
            return Chunk(text=block.text) if block.text else None
        return Chunk(tools=(ToolPiece(self._place(event.index), block.id, block.name),))

    def _place(self, index: int) -> int:
        """Return which of the tool calls a block is, from 0."""
        before = (self._blocks[at] for at in self._blocks if at < index)
        return sum(block.type == "tool_use" for block in before)

    def _block(self, index: int) -> _Block:
        block, written = self._blocks[index], "".join(self._texts[index])
        if block.type == "tool_use":
            arguments = Raw(written.encode()) if written else block.input
            return msgspec.structs.replace(block, input=arguments)
        return msgspec.structs.replace(block, text=written)


def _completion(
    body: _Body, blocks: tuple[_Block, ...], ending: _Ending, usage: _Usage
) -> Completion:
    stop_reason, stop_sequence = ending
    if stop_reason not in ENDINGS:
        raise MalformedError(f"it ended with {stop_reason!r}")
    return Completion(
        text="".join(block.text for block in blocks if block.type == "text"),
        finish_reason=ENDINGS[stop_reason],
        stop_sequence=stop_sequence,
        tool_calls=tuple(_call(block) for block in blocks if block.type == "tool_use"),
        usage=_total(usage),
        model=body.model,
    )


def _call(block: _Block) -> ToolCall:
    return ToolCall(id=block.id, name=block.name, arguments=bytes(block.input).decode())


def _newer(before: _Usage, after: _Usage | None) -> _Usage:
    """Return the counts with the later ones on top; they are totals, not additions."""
    later = {} if after is None else msgspec.structs.asdict(after)
    known = {name: count for name, count in later.items() if count is not None}
    return msgspec.structs.replace(before, **known)


def _total(usage: _Usage) -> Usage:
    """Return the counts in our sense: here the input leaves out what the cache read and wrote."""
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    fresh = usage.input_tokens
    details = usage.output_tokens_details or _OutputDetails()
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=usage.output_tokens,
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=details.thinking_tokens,
    )
