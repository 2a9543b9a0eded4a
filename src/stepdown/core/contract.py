"""The task contract: how the input is taken from a caller's request, and how answers look to them.

A caller wraps the message in a prompt of their own and parses what comes back. The contract says
where the bare message is and which shape the caller's parser expects, so that a small tier can
answer with a prompt of its own and nobody downstream notices. It does not call anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from stepdown.core.digest import digest
from stepdown.core.pattern import OPEN, between, matches
from stepdown.core.request import Message, encode_answer

INPUT = "{input}"
ANSWER = "{answer}"
LABELS = "{labels}"
TOOLS = "{tools}"
SYSTEM_ROLES = ("system", "developer")
_PLACE = re.compile(r"\{(?:input|labels|tools)\}")


class Prompt(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A tier's own prompt: `user` holds `{input}` once; both may hold `{labels}` and `{tools}`.

    A tier that is told of the tools in words gets no native ones: it writes its calls as JSON.
    """

    user: str = INPUT
    system: str | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        """Refuse a prompt that drops the message."""
        if self.user.count(INPUT) != 1:
            raise ValueError(f"a prompt's `user` must hold {INPUT} exactly once: {self.user!r}")

    @property
    def tells_tools(self) -> bool:
        """Whether the tools stand in the prompt's own words."""
        return TOOLS in self.user or TOOLS in (self.system or "")

    def messages(
        self, text: str, labels: Sequence[str] = (), tools: str = ""
    ) -> tuple[Message, ...]:
        """Return the messages that carry `text` to the tier.

        All places are filled at once, so that a message which holds `{labels}` stays as it is.
        """
        known = {LABELS: ", ".join(labels), TOOLS: tools}
        said = (Message(role="user", content=_filled(self.user, {**known, INPUT: text})),)
        if self.system is None:
            return said
        return (Message(role="system", content=_filled(self.system, known)), *said)


class Taken(Struct, frozen=True):
    """What a contract takes from a request: the bare text, and the messages before it."""

    text: str
    history: tuple[Message, ...] = ()


class Contract(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What today's caller sends and expects.

    `system` is the caller's system prompt word for word (None: any). `user` is their last user
    message with `{input}` where the bare text stands. `output` is their answer with `{answer}`
    where the canonical answer stands; the rest of it is what their parser expects around it.
    White space is not significant when a request is compared. `{*}` in `system` or `user` stands
    for any text: a variable of the caller's prompt, such as a date or a name.

    `path` says where the bare text stands in the JSON that is found at `{input}`, as a dotted path
    of keys. With `turns = "many"` messages may stand before the last one: the conversation so far.
    """

    user: str = INPUT
    system: str | None = None
    output: str = ANSWER
    path: str = ""
    turns: Literal["one", "many"] = "one"

    def __post_init__(self) -> None:
        """Refuse templates that lose the input or the answer."""
        if self.user.count(INPUT) != 1:
            raise ValueError(f"`user` must hold {INPUT} exactly once: {self.user!r}")
        if self.output.count(ANSWER) != 1:
            raise ValueError(f"`output` must hold {ANSWER} exactly once: {self.output!r}")

    @property
    def digest(self) -> str:
        """Digest of the contract, as the lock holds it."""
        return digest(self)

    @property
    def is_bare(self) -> bool:
        """Whether nothing fixed tells a request of this contract from any other."""
        return self.user == INPUT and self.system is None and not self.path

    def take_input(self, messages: Sequence[Message]) -> str | None:
        """Return the bare text of a request, or None when the request does not match."""
        taken = self.take(messages)
        return None if taken is None else taken.text

    def take(self, messages: Sequence[Message]) -> Taken | None:
        """Return the bare text of a request and what was said before it, None when it differs.

        Where a conversation ends with the result of a tool there is no text: all of it is history.
        """
        system = [m.text for m in messages if m.role in SYSTEM_ROLES]
        if self.system is not None and not matches(self.system, " ".join(system)):
            return None
        said = [m for m in messages if m.role not in SYSTEM_ROLES]
        if not said or (len(said) > 1 and self.turns == "one"):
            return None
        if said[-1].role == "tool":
            return Taken("", tuple(messages)) if self.is_bare else None
        text = self._text(said[-1])
        return None if text is None else Taken(text, tuple(messages[:-1]) if said[:-1] else ())

    def _text(self, last: Message) -> str | None:
        if last.role != "user" or not last.is_text:
            return None
        found = between(self.user, INPUT, last.text)
        return _at(self.path, found) if self.path and found is not None else found

    def wrap(self, text: str) -> tuple[Message, ...]:
        """Return the messages that today's caller would send for a bare text.

        Nobody knows what their variables would hold: open places are left empty.
        """
        held = _held(self.path, text) if self.path else text
        user = self.user.replace(OPEN, "").replace(INPUT, held)
        said = (Message(role="user", content=user),)
        if self.system is None:
            return said
        return (Message("system", self.system.replace(OPEN, "")), *said)

    def render(self, answer: str) -> str:
        """Return a canonical answer in the shape that the caller parses."""
        return self.output.replace(ANSWER, answer)

    def parse(self, text: str) -> str | None:
        """Return the canonical answer inside a text of the caller's shape, or None."""
        return between(self.output, ANSWER, text, places=False)


def _at(path: str, text: str) -> str | None:
    """Return the text at a path in a JSON object, None where there is none."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def _held(path: str, text: str) -> str:
    """Return the smallest JSON object that holds a text at a path."""
    held: object = text
    for key in reversed(path.split(".")):
        held = {key: held}
    return encode_answer(held)


def _filled(template: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda at: values.get(at[0], at[0]), template)
