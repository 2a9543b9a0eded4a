"""What a caller sends to the gateway and what goes back, free of any wire format."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from stepdown.core.asked import Asked
from stepdown.core.hints import Hints
from stepdown.core.request import Message, TokenLogprob, ToolCall, Usage
from stepdown.core.trace import Trace


class Call(Struct, frozen=True, kw_only=True):
    """A caller's request. `model` is a task, `tier:NAME`, or a name that is mapped to tasks.

    `metadata` is what the caller sent, `hints` what it says to Stepdown.
    """

    id: str
    model: str
    messages: tuple[Message, ...]
    asked: Asked = Asked()
    hints: Hints = Hints()
    metadata: Mapping[str, str] = {}


class Choice(Struct, frozen=True, kw_only=True):
    """One answer of several that a caller asked for."""

    text: str
    finish_reason: str = "stop"
    stop_sequence: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None


class Reply(Struct, frozen=True, kw_only=True):
    """The answer in the caller's shape, with the trace that explains it.

    `usage` is what the caller is told: the tokens of the attempt that answered. `more` holds the
    second answer and those after it. `stop_sequence` is which of the caller's ended the answer,
    where the tier says so. `ignored` names the caller's parameters that changed nothing.
    """

    text: str
    model: str
    trace: Trace
    finish_reason: str = "stop"
    stop_sequence: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None
    more: tuple[Choice, ...] = ()
    usage: Usage = Usage()
    recorded: bool = False
    note: str = ""
    ignored: tuple[str, ...] = ()

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Every answer, the first one first."""
        first = Choice(
            text=self.text,
            finish_reason=self.finish_reason,
            stop_sequence=self.stop_sequence,
            tool_calls=self.tool_calls,
            logprobs=self.logprobs,
        )
        return (first, *self.more)


class EmbedCall(Struct, frozen=True, kw_only=True):
    """A caller's request for vectors. `model` is an embed task, or `tier:NAME`."""

    id: str
    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    hints: Hints = Hints()


class EmbedReply(Struct, frozen=True, kw_only=True):
    """Vectors in the order of the texts, each as little-endian 32-bit floats."""

    vectors: tuple[bytes, ...]
    model: str
    trace: Trace
    usage: Usage = Usage()
