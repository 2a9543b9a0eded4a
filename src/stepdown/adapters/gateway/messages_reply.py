"""A reply in the words of the Anthropic messages wire, whole or as the events of a stream.

Source: Anthropic API reference, "Create a Message", "Streaming Messages" and "Errors", version
2023-06-01, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from stepdown.adapters.gateway.answers import encode
from stepdown.adapters.gateway.faults import Fault
from stepdown.core.call import Reply
from stepdown.core.request import Chunk, ToolCall, ToolPiece, Usage

_ENDINGS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "content_filter": "refusal",
}
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}
INVALID = "INVALID_JSON"  # how the wire's document wraps arguments that are no JSON object


def fault_body(fault: Fault, request_id: str) -> dict[str, Any]:
    """Return an error in the shape that Anthropic clients read."""
    kind = _KINDS.get(fault.status, "invalid_request_error")
    where = f"{fault.param}: " if fault.param else ""
    error = {"type": kind, "message": where + fault.message}
    return {"type": "error", "error": error, "request_id": request_id}


def message_body(reply: Reply) -> bytes:
    """Return the JSON body of a whole answer."""
    body = {**_message(reply, _content(reply)), **_ending(reply)}
    return encode({**body, "usage": _usage(reply.usage)})


class MessagesEvents:
    """Writes one answer as the events of a stream: its blocks one after the other."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._open: int | None = None
        self._blocks = 0
        self._tools: dict[int, int] = {}

    def begin(self, opening: Reply) -> bytes:
        """Return the start of the message; its counts come at its end, where they are known."""
        message = {**_message(opening, []), "usage": _usage(opening.usage)}
        start = _event("message_start", {"message": message})
        return start + _event("ping", {})

    def piece(self, chunk: Chunk) -> bytes:
        """Return the events that add text or parts of tool calls."""
        return b"".join(self._said(chunk))

    def end(self, reply: Reply) -> bytes:
        """Return the end of the last block and of the message, with its counts."""
        ends = {"delta": _ending(reply), "usage": _usage(reply.usage)}
        return self._close() + _event("message_delta", ends) + _event("message_stop", {})

    def whole(self, reply: Reply) -> bytes:
        """Return a whole answer as a stream."""
        pieces = tuple(
            ToolPiece(n, call.id, call.name, call.arguments)
            for n, call in enumerate(reply.tool_calls)
        )
        said = self.piece(Chunk(text=reply.text, tools=pieces))
        return self.begin(reply) + said + self.end(reply)

    def broken(self, fault: Fault) -> bytes:
        """Return the event of an error: clients of the wire raise it."""
        return b"event: error\ndata: %b\n\n" % encode(fault_body(fault, self._request_id))

    def _said(self, chunk: Chunk) -> Iterable[bytes]:
        if chunk.text:
            if self._open is None or self._open in self._tools.values():
                yield self._start({"type": "text", "text": ""})
            for text in chunk.texts or (chunk.text,):
                yield self._delta(self._blocks - 1, {"type": "text_delta", "text": text})
        for piece in chunk.tools:
            yield from self._called(piece)

    def _called(self, piece: ToolPiece) -> Iterable[bytes]:
        if piece.index not in self._tools:
            block = {"type": "tool_use", "id": piece.id, "name": piece.name, "input": {}}
            yield self._start(block)
            self._tools[piece.index] = self._blocks - 1
        if piece.arguments:
            said = {"type": "input_json_delta", "partial_json": piece.arguments}
            yield self._delta(self._tools[piece.index], said)

    def _start(self, block: dict[str, Any]) -> bytes:
        closed = self._close()
        self._open = self._blocks
        self._blocks += 1
        start = {"index": self._open, "content_block": block}
        return closed + _event("content_block_start", start)

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", {"index": index, "delta": delta})

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        closed, self._open = self._open, None
        return _event("content_block_stop", {"index": closed})


def _event(kind: str, body: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encode({"type": kind, **body}))


def _ending(reply: Reply) -> dict[str, Any]:
    """Return why the answer ended; a stop sequence is named where the tier said which it was."""
    if reply.finish_reason == "stop" and reply.stop_sequence is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": reply.stop_sequence}
    return {
        "stop_reason": _ENDINGS.get(reply.finish_reason, "end_turn"),
        "stop_sequence": None,
    }


def _message(reply: Reply, content: list[Any]) -> dict[str, Any]:
    """Return a message that has not ended yet."""
    return {
        "id": f"msg_{reply.trace.id}",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _content(reply: Reply) -> list[dict[str, Any]]:
    texts = [{"type": "text", "text": reply.text}] if reply.text else []
    return [*texts, *(_use(call) for call in reply.tool_calls)]


def _use(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call.arguments)}


def _input(arguments: str) -> Any:
    try:
        msgspec.json.decode(arguments, type=dict[str, Raw])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {INVALID: arguments} if arguments.strip() else {}
    return Raw(arguments.encode())


def _usage(usage: Usage) -> dict[str, Any]:
    """Return the counts in the wire's sense: input without what the cache read and wrote.

    What is not known is null, never zero.
    """
    cached, written, fresh = usage.cached_tokens, usage.cache_write_tokens, usage.input_tokens
    told: dict[str, Any] = {
        "input_tokens": None if fresh is None else fresh - (cached or 0) - (written or 0),
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
    }
    if usage.reasoning_tokens is not None:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return told
