"""The outline of a request that matched no contract: sizes and digests, none of its text.

Requests of one template share the digest of their system prompt and the roles of their messages, so
that a person sees which template is missing without reading anybody's message.
"""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.core.asked import Asked
from stepdown.core.digest import digest_bytes
from stepdown.core.request import Message

FIXED = ("system", "developer")
MOST = 6  # messages told one by one
DIGITS = 8


def outline(messages: Sequence[Message], asked: Asked) -> str:
    """Return who speaks, how long, and what is asked for besides, in one line."""
    parts = [_message(message) for message in messages[:MOST]]
    if len(messages) > MOST:
        parts.append(f"{len(messages) - MOST} more")
    return " · ".join([*parts, *_besides(asked)])


def _message(message: Message) -> str:
    size = len(message.text)
    if message.role in FIXED:
        squeezed = " ".join(message.text.split()).encode()
        name = digest_bytes(squeezed).removeprefix("sha256:")[:DIGITS]
        return f"{message.role} #{name} of {size} characters"
    images = "" if message.is_text or message.content is None else " and other parts"
    calls = f" and {len(message.tool_calls)} calls" if message.tool_calls else ""
    return f"{message.role} of {size} characters{images}{calls}"


def _besides(asked: Asked) -> list[str]:
    said = {
        f"{len(asked.tools)} tools": bool(asked.tools),
        f"format {asked.format.kind}" if asked.format else "": asked.format is not None,
        f"n {asked.n}": asked.n > 1,
        "log-probabilities": asked.logprobs,
    }
    return [name for name, is_said in said.items() if is_said]
