"""A reply in the words of the OpenAI chat wire, whole or as the events of a stream.

Source: OpenAI API reference, "The chat completion object" and "The chat completion chunk object",
2026-11. The end of a chunk that only adds text is written once for the whole stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stepdown.adapters.gateway.answers import encode
from stepdown.adapters.gateway.faults import Fault
from stepdown.core.call import Choice, Reply
from stepdown.core.request import Chunk, TokenLogprob, ToolCall, ToolPiece, Usage

_ENDINGS = {"refusal": "stop"}  # our words that the wire has no finish reason for
DONE = b"data: [DONE]\n\n"


def fault_body(fault: Fault) -> dict[str, Any]:
    """Return an error in the shape that OpenAI clients read."""
    error = {
        "message": fault.message,
        "type": fault.kind,
        "param": fault.param,
        "code": fault.code,
    }
    return {"error": error}


def chat_body(reply: Reply, created: int) -> bytes:
    """Return the JSON body of a whole answer; `usage` is left out when it is not known."""
    body = _envelope("chat.completion", reply, created)
    body["choices"] = [_choice(number, choice) for number, choice in enumerate(reply.choices)]
    body |= _usage(reply.usage)
    return encode(body)


class ChatEvents:
    """Writes one answer as the chunks of a stream."""

    def __init__(self, created: int, *, usage_wanted: bool) -> None:
        self._created = created
        self._usage_wanted = usage_wanted
        self._start: dict[str, Any] = {}
        self._before = b""
        self._bare: set[int] = set()
        self._ended: str | None = None
        self._told: dict[str, Any] = {}

    def begin(self, opening: Reply) -> bytes:
        """Return the chunk with the role; of a reply of several choices, one for each."""
        self._start = _envelope("chat.completion.chunk", opening, self._created)
        if self._usage_wanted:
            self._start["usage"] = None
        head = encode({**self._start, "choices": []}).removesuffix(b"[]}")
        self._before = b"data: " + head + b'[{"index":0,"delta":{"content":'
        role = {"role": "assistant", "content": "", "refusal": None}
        return b"".join(self._event(n, role) for n in range(len(opening.choices)))

    def piece(self, chunk: Chunk) -> bytes:
        """Return what adds text, tokens or parts of tool calls, or tells the end as it comes."""
        if chunk.finish_reason is not None or chunk.usage is not None:
            return self._said_of_the_end(chunk)
        if not (chunk.logprobs or chunk.tools):
            before = self._before
            return b"".join([before + encode(t) + _AFTER for t in chunk.texts or (chunk.text,)])
        return self._added(chunk)

    def _said_of_the_end(self, chunk: Chunk) -> bytes:
        said = [self._added(chunk)] if chunk.adds else []
        if chunk.finish_reason is not None and self._ended is None:
            self._ended = chunk.finish_reason
            said += [*self._without_arguments(), self._finish(0, chunk.finish_reason)]
        if chunk.usage is not None and self._ended is not None:
            said.append(self._counts(chunk.usage))
        return b"".join(said)

    def _added(self, chunk: Chunk) -> bytes:
        delta: dict[str, Any] = {"content": chunk.text} if chunk.text else {}
        if chunk.tools:
            delta["tool_calls"] = [self._called(piece) for piece in chunk.tools]
        return self._event(0, delta, chunk.logprobs or None)

    def end(self, reply: Reply) -> bytes:
        """Return what was not said yet of the finish reason and the usage, and the end."""
        ends = []
        if self._ended is None:
            ends += self._without_arguments()
            ends += [self._finish(n, one.finish_reason) for n, one in enumerate(reply.choices)]
        return b"".join([*ends, self._counts(reply.usage), DONE])

    def _without_arguments(self) -> list[bytes]:
        """Return the empty arguments of the calls that got none."""
        bare, self._bare = sorted(self._bare), set()
        return [self._event(0, {"tool_calls": [_arguments(n, "{}")]}) for n in bare]

    def _counts(self, usage: Usage) -> bytes:
        """Return the chunk of the usage, where it is wanted, known, and not said before."""
        told = _usage(usage)
        if not self._usage_wanted or not told or told == self._told:
            return b""
        self._told = told
        return _data({**self._start, "choices": [], **told})

    def whole(self, reply: Reply) -> bytes:
        """Return a whole answer as a stream."""
        pieces = [self.begin(reply)]
        for number, choice in enumerate(reply.choices):
            pieces += self._said(number, choice)
        return b"".join([*pieces, self.end(reply)])

    def broken(self, fault: Fault) -> bytes:
        """Return the event of an error: clients of the wire raise it."""
        return _data(fault_body(fault))

    def _called(self, piece: ToolPiece) -> dict[str, Any]:
        """Return a part of a call; one that never gets arguments ends with empty ones."""
        if piece.arguments:
            self._bare.discard(piece.index)
        if not piece.name:
            return _arguments(piece.index, piece.arguments)
        if not piece.arguments:
            self._bare.add(piece.index)
        call = ToolCall(piece.id, piece.name, piece.arguments)
        return {"index": piece.index, **_called(call)}

    def _said(self, number: int, choice: Choice) -> Iterable[bytes]:
        told = _told(choice)
        if told["content"] or told["refusal"]:
            delta = {k: v for k, v in told.items() if v and k in ("content", "refusal")}
            yield self._event(number, delta, choice.logprobs)
        if choice.tool_calls:
            calls = [{"index": at, **_called(c)} for at, c in enumerate(choice.tool_calls)]
            yield self._event(number, {"tool_calls": calls})

    def _finish(self, number: int, said: str) -> bytes:
        reason = _ENDINGS.get(said, said)
        end = {"index": number, "delta": {}, "logprobs": None, "finish_reason": reason}
        return _data({**self._start, "choices": [end]})

    def _event(
        self, number: int, delta: dict[str, Any], tokens: tuple[TokenLogprob, ...] | None = None
    ) -> bytes:
        said = {
            "index": number,
            "delta": delta,
            "logprobs": _logprobs(tokens),
            "finish_reason": None,
        }
        return _data({**self._start, "choices": [said]})


_AFTER = b'},"logprobs":null,"finish_reason":null}]}\n\n'


def _data(value: Any) -> bytes:
    return b"data: %b\n\n" % encode(value)


def _envelope(kind: str, reply: Reply, created: int) -> dict[str, Any]:
    name = f"chatcmpl-{reply.trace.id}"
    return {"id": name, "object": kind, "created": created, "model": reply.model}


def _choice(number: int, choice: Choice) -> dict[str, Any]:
    message = {"role": "assistant", **_told(choice)}
    if choice.tool_calls:
        message["tool_calls"] = [_called(call) for call in choice.tool_calls]
    return {
        "index": number,
        "message": message,
        "logprobs": _logprobs(choice.logprobs),
        "finish_reason": _ENDINGS.get(choice.finish_reason, choice.finish_reason),
    }


def _told(choice: Choice) -> dict[str, Any]:
    """Return the words of an answer: as a refusal where it is one, null beside bare tool calls."""
    if choice.finish_reason == "refusal":
        return {"content": None, "refusal": choice.text}
    return {"content": choice.text or (None if choice.tool_calls else ""), "refusal": None}


def _called(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _arguments(index: int, said: str) -> dict[str, Any]:
    return {"index": index, "function": {"arguments": said}}


def _logprobs(tokens: tuple[TokenLogprob, ...] | None) -> dict[str, Any] | None:
    if tokens is None:
        return None
    return {"content": [_token(token) for token in tokens], "refusal": None}


def _token(token: TokenLogprob) -> dict[str, Any]:
    ranked = [_weighed(text, logprob) for text, logprob in token.top]
    return {**_weighed(token.token, token.logprob), "top_logprobs": ranked}


def _weighed(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


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
