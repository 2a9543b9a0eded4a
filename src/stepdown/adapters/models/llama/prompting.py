"""From a request to the messages that the model reads, with and without the customer's text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stepdown.core.request import ImagePart, Message, Request
from stepdown.errors import Unavailable


def messages_of(request: Request) -> list[dict[str, str]]:
    """Return the messages as the chat template reads them; the bare input when there are none.

    Raises:
        Unavailable: tools or images are asked for.
    """
    if request.tools:
        raise Unavailable("The embedded model does not call tools.", "Use another tier.")
    said = request.messages or (Message(role="user", content=request.input),)
    if any(_has_image(message) for message in said):
        raise Unavailable("The embedded model does not read images.", "Use another tier.")
    return [{"role": message.role, "content": message.text} for message in said]


def with_input(request: Request, text: str) -> list[dict[str, str]] | None:
    """Return the messages with another bare input, None when they do not hold the request's."""
    messages = messages_of(request)
    for message in reversed(messages):
        place = _last_place(message["content"], request.input)
        if place is not None:
            before, after = message["content"][: place[0]], message["content"][place[1] :]
            message["content"] = before + text + after
            return messages
    return None


def lead_of(messages: Sequence[Mapping[str, str]]) -> str:
    """Return what stands between the prompt and a label: a space after a begun answer."""
    last = messages[-1]
    begun = last["role"] == "assistant" and last["content"] and not last["content"][-1].isspace()
    return " " if begun else ""


def _has_image(message: Message) -> bool:
    parts = message.content if isinstance(message.content, tuple) else ()
    return any(isinstance(part, ImagePart) for part in parts)


def _last_place(content: str, text: str) -> tuple[int, int] | None:
    """Return where `text` stands in `content`, as whole words: "a" is not found in "Label"."""
    if not text:
        return None
    found = list(re.finditer(rf"(?<!\w){re.escape(text)}(?!\w)", content))
    return found[-1].span() if found else None
