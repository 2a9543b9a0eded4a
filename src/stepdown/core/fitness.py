"""Whether a tier can take a request at all: length, images, tools. It does not know how well."""

from __future__ import annotations

from collections.abc import Callable

from stepdown.core.asked import Asked
from stepdown.core.request import Capabilities, ImagePart, Message, Request

BYTES = 4  # the most that one character takes in UTF-8


def lacks(
    request: Request, able: Capabilities, estimate: Callable[[str], int] | None = None
) -> str | None:
    """Return what a request needs that a tier cannot do, None when it can be tried.

    `estimate` counts the tokens of a text; a text has no more tokens than bytes, so that a short
    one is not counted. Without it the length is not checked.
    """
    if able.tasks is not None and request.task not in able.tasks:
        return f"it answers {', '.join(able.tasks)} only"
    if isinstance(request.asked, Asked) and (why := _beyond(request, able)) is not None:
        return why
    if request.tools and not able.tools:
        return "it calls no tools"
    if not able.vision and any(_shows(message) for message in request.messages):
        return "it reads no images"
    return None if estimate is None else _too_long(request, able.context_tokens, estimate)


def _beyond(request: Request, able: Capabilities) -> str | None:
    """Return what a request that is passed on asks of a tier that reads no messages, or no odds."""
    if not able.chat:
        return "it reads bare inputs, not messages"
    return "it gives no log-probabilities" if request.logprobs and not able.logprobs else None


def _shows(message: Message) -> bool:
    parts = message.content if isinstance(message.content, tuple) else ()
    return any(isinstance(part, ImagePart) for part in parts)


def _too_long(request: Request, room: int | None, estimate: Callable[[str], int]) -> str | None:
    texts = [message.text for message in request.messages] or [request.input]
    answer = request.max_tokens or 0
    if room is None or sum(map(len, texts)) * BYTES + answer <= room:
        return None
    tokens = sum(map(estimate, texts)) + answer
    return f"about {tokens} tokens, and its context holds {room}" if tokens > room else None
