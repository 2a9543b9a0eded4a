"""The OpenAI chat-completions wire as logs hold it, turned into our messages, answers and usage.

Follows the OpenAI API reference, "Chat completions" (object `chat.completion`), as of November
2026. It reads what an audit needs and leaves the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from stepdown.core.request import ImagePart, Message, TextPart, ToolCall, Usage

Count = Annotated[int, Meta(ge=0)]


class WireDetails(Struct):
    """Parts of a token count."""

    cached_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class WireUsage(Struct):
    """`usage` with the names of Chat Completions and of the Responses API."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    prompt_tokens_details: WireDetails | None = None
    completion_tokens_details: WireDetails | None = None
    input_tokens_details: WireDetails | None = None
    output_tokens_details: WireDetails | None = None

    def usage(self) -> Usage:
        """Return our usage; what the log does not say stays None."""
        read = self.prompt_tokens_details or self.input_tokens_details or WireDetails()
        wrote = self.completion_tokens_details or self.output_tokens_details or WireDetails()
        return Usage(
            input_tokens=_either(self.prompt_tokens, self.input_tokens),
            output_tokens=_either(self.completion_tokens, self.output_tokens),
            cached_tokens=read.cached_tokens,
            reasoning_tokens=wrote.reasoning_tokens,
        )


class WireFunction(Struct):
    """A called function."""

    name: str = ""
    arguments: str | None = None


class WireToolCall(Struct):
    """A tool call of an assistant's message."""

    id: str | None = None
    function: WireFunction = msgspec.field(default_factory=WireFunction)


class WireMessage(Struct):
    """A message of a request or of a choice."""

    role: str = "assistant"
    content: str | list[Any] | None = None
    tool_calls: list[WireToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str | None = None

    def message(self) -> Message:
        """Return our message."""
        return Message(
            role=self.role,
            content=content_of(self.content),
            tool_calls=tuple(_tool_call(call) for call in self.tool_calls or ()),
            tool_call_id=self.tool_call_id,
            name=self.name,
        )


class WireChoice(Struct):
    """A choice of a response."""

    message: WireMessage | None = None
    text: str | None = None
    finish_reason: str | None = None


class WireResponse(Struct):
    """A response; `error` instead of choices when the call failed."""

    id: str | None = None
    object: str | None = None
    type: str | None = None
    model: str | None = None
    created: float | str | None = None
    choices: list[WireChoice] | None = None
    usage: WireUsage | None = None
    service_tier: str | None = None
    error: Any = None


class WireRequest(Struct):
    """The body of a request."""

    model: str | None = None
    messages: list[WireMessage] | None = None
    tools: list[msgspec.Raw] | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None


def content_of(content: str | list[Any] | None) -> str | tuple[TextPart | ImagePart, ...] | None:
    """Return content as text or parts; a part of another kind (audio, file) is left out."""
    if content is None or isinstance(content, str):
        return content
    parts = (_part(part) for part in content)
    return tuple(part for part in parts if part is not None)


def answer_of(response: WireResponse) -> str | None:
    """Return the first choice's text, its tool calls as JSON, or None when there is neither."""
    if not response.choices:
        return None
    choice = response.choices[0]
    if choice.message is None:
        return choice.text
    said = choice.message.message()
    if said.tool_calls and not said.text:
        return msgspec.json.encode({"tool_calls": said.tool_calls}).decode()
    return None if said.content is None else said.text


def usage_of(response: WireResponse | None) -> Usage:
    """Return the response's usage, all unknown when it has none."""
    return Usage() if response is None or response.usage is None else response.usage.usage()


def _part(part: Any) -> TextPart | ImagePart | None:
    if isinstance(part, str):
        return TextPart(part)
    if not isinstance(part, Mapping):
        return None
    if isinstance(part.get("text"), str):
        return TextPart(part["text"])
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else image
    return ImagePart(url) if isinstance(url, str) else None


def _tool_call(call: WireToolCall) -> ToolCall:
    return ToolCall(call.id or "", call.function.name, call.function.arguments or "")


def _either(first: int | None, second: int | None) -> int | None:
    return second if first is None else first
