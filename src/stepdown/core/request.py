"""What goes to a tier and what comes back; shaped for streams, log-probabilities, tools, images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from stepdown.core.asked import Asked
from stepdown.core.asked import Tool as Tool  # noqa: PLC0414 a request has tools: it is found here


class TextPart(Struct, frozen=True, tag="text"):
    """A piece of text in a message; `cache_control` marks the end of a prefix worth caching."""

    text: str
    cache_control: Mapping[str, Any] | UnsetType = UNSET


class ImagePart(Struct, frozen=True, tag="image_url"):
    """An image in a message, as a data URL or an address that the tier may fetch."""

    url: str
    detail: str | UnsetType = UNSET
    cache_control: Mapping[str, Any] | UnsetType = UNSET


class ToolCall(Struct, frozen=True):
    """A call of a function that a model asks for; `arguments` is the raw JSON text."""

    id: str
    name: str
    arguments: str


class Message(Struct, frozen=True, omit_defaults=True):
    """One message of a conversation."""

    role: str
    content: str | tuple[TextPart | ImagePart, ...] | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    is_error: bool = False

    @property
    def text(self) -> str:
        """The text of the message, its parts joined by new lines."""
        if isinstance(self.content, str):
            return self.content
        parts = self.content or ()
        return "\n".join(part.text for part in parts if isinstance(part, TextPart))

    @property
    def is_text(self) -> bool:
        """Whether it holds text and nothing else."""
        if isinstance(self.content, str):
            return True
        parts = self.content or ()
        return bool(parts) and all(isinstance(part, TextPart) for part in parts)


class Context(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands around the bare text of one input.

    `history` are the messages before it, `images` are shown beside it (data URLs), `tools` may be
    called; None where the task's own tools hold.
    """

    history: tuple[Message, ...] = ()
    images: tuple[str, ...] = ()
    tools: tuple[Tool, ...] | None = None


class Request(Struct, frozen=True, kw_only=True):
    """One request to one tier.

    `input` is the bare text that the task is about (what an expert reads); `messages` is the
    tier's own prompt around it (what a language model reads). `labels` non-empty asks for a
    distribution over exactly these answers; `schema` asks for JSON that matches it. `asked` is
    there where a caller's request is passed on as it is: it then decides the decoding alone.
    """

    id: str
    task: str
    input: str
    messages: tuple[Message, ...] = ()
    labels: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    max_tokens: int | None = None
    temperature: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    top_logprobs: int = 0
    metadata: Mapping[str, str] = {}
    asked: Asked | UnsetType = UNSET  # left out of the digest of a request that has none

    def __post_init__(self) -> None:
        """Refuse what no tier can serve."""
        if not 0 <= self.top_logprobs <= 50:
            raise ValueError(f"top_logprobs must be 0 to 50, got {self.top_logprobs}")


class Usage(Struct, frozen=True, omit_defaults=True):
    """Tokens of one call; `None` means unknown, never zero. `estimated` says who counted.

    `cache_write_1h_tokens` are those of `cache_write_tokens` that go to a cache of an hour.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    estimated: bool = False
    cache_write_1h_tokens: int | None = None


class TokenLogprob(Struct, frozen=True, omit_defaults=True):
    """One generated token with its natural log-probability and its alternatives."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


class Completion(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a tier answered.

    `label_probs` is a distribution over `Request.labels` (sums to 1), prior-corrected where the
    tier needs it. `field_probs` is a confidence per extracted field. `latency_s` is None when
    nobody measured it (a recording). `retries` counts the tries before this one; `unpriced` those
    of them that the server may have worked on, whose cost nobody knows. `stop_sequence` is which
    of `Request.stop` ended it, where the tier says so.
    """

    text: str
    finish_reason: str = "stop"
    stop_sequence: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    logprobs: tuple[TokenLogprob, ...] | None = None
    label_probs: Mapping[str, float] | None = None
    field_probs: Mapping[str, float] | None = None
    familiarity: float | None = None
    latency_s: float | None = None
    first_token_s: float | None = None
    model: str = ""
    recorded: bool = False
    retries: int = 0
    unpriced: int = 0


class ToolPiece(Struct, frozen=True, omit_defaults=True):
    """A piece of a streamed tool call: id and name come once, `arguments` add up."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class Chunk(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a streamed answer; the last one carries `completion`.

    `texts` are the pieces of `text` where several came at once, so that they can be handed on as
    one and still be told apart. `finish_reason` and `usage` are what the tier says of its answer
    before it is whole; `completion` is what holds.
    """

    text: str = ""
    texts: tuple[str, ...] = ()
    tools: tuple[ToolPiece, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    completion: Completion | None = None

    @property
    def adds(self) -> bool:
        """Whether it adds anything to the answer."""
        return bool(self.text or self.tools or self.logprobs)


class Capabilities(Struct, frozen=True, omit_defaults=True):
    """What a tier can do; a request that needs more escalates with reason `incapable`.

    `chat`: it reads messages, and not only the bare input. `wire`: the wire whose own parameters
    reach it, "openai" or "anthropic".
    """

    context_tokens: int | None = None
    vision: bool = False
    tools: bool = False
    logprobs: bool = False
    labels: bool = False
    schema: bool = False
    stream: bool = False
    tasks: tuple[str, ...] | None = None
    polish: bool = True
    chat: bool = True
    wire: str = ""


def encode_answer(value: Any) -> str:
    """Return the canonical JSON text of a structured answer (keys sorted)."""
    return msgspec.json.encode(value, order="sorted").decode()
