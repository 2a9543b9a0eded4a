"""Read what was said in logged calls into columns of digests, for counting what repeats."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from stepdown.audit.cluster import Form, form_of
from stepdown.audit.prefixes import Prompt, borders_of, least_letters
from stepdown.audit.rules import Rules
from stepdown.audit.sketch import Floats, Hashes, hash64, hashes64
from stepdown.audit.tally import Looked, Part
from stepdown.core.call_columns import Batch
from stepdown.core.digest import digest
from stepdown.core.usage_log import Content

Estimate = Callable[[str], int]
Offered = tuple[tuple[str, int], ...]
_SYSTEM = frozenset(("system", "developer"))
_MOST_KEPT, _MOST_CHARS = 4096, 16_000_000


class Prompts:
    """Digests of system prompts and sizes of tools: both repeat, so each is worked out once."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._tools: dict[tuple[str, float], Offered] = {}
        self._chars = 0

    def of(self, system: str) -> int:
        """Return the digest of a system prompt, 0 where there is none."""
        if not system:
            return 0
        found = self._known.get(system)
        if found is None:
            self._make_room(system)
            found = self._known[system] = hash64(system) or 1
        return found

    def offered(self, said: Content, names: str | None, size: float) -> Offered:
        """Return the names and sizes of the tools of a call.

        Where the log tells the names and the size of all definitions, equal ones are known.
        """
        if not said.tools:
            return ()
        key = (names or "", size)
        found = self._tools.get(key) if names is not None and size == size else None  # noqa: PLR0124 - NaN
        if found is None:
            found = tuple((tool.name, len(msgspec.json.encode(tool))) for tool in said.tools)
            if len(self._tools) < _MOST_KEPT:
                self._tools[key] = found
        return found

    def _make_room(self, system: str) -> None:
        self._chars += len(system)
        if len(self._known) >= _MOST_KEPT or self._chars > _MOST_CHARS:
            self._known.clear()
            self._chars = len(system)


def look(
    batch: Batch,
    whole: Part,
    contents: Sequence[Content | None],
    rows: Sequence[int],
    prompts: Prompts,
    rules: Rules,
) -> Looked:
    """Return what the content of some rows of a batch tells; those without any are left out."""
    said_in = [row for row in rows if (one := contents[row]) is not None and one.messages]
    said = [contents[row] or Content() for row in said_in]
    at = np.asarray(said_in, dtype=np.intp)
    models = [whole.models[row] or "" for row in said_in]
    offered = _offered(batch, said, said_in, prompts)
    tools = ["\0".join([name for name, _ in told]) if told else "" for told in offered]
    systems, requests = _asked(said, models, tools)
    size_of = [
        len(text) + sum([s for _, s in own]) for text, own in zip(requests, offered, strict=True)
    ]
    long = np.flatnonzero(np.array(size_of) >= least_letters(rules))
    sent = [
        Prompt(models[n], tools[n], sum(s for _, s in offered[n]), _texts(said[n]))
        for n in long.tolist()
    ]
    return Looked(
        request=hashes64(requests),
        system=np.array([prompts.of(system) for system in systems], dtype=np.uint64),
        borders=borders_of(sent, whole.numbers["at_s"][at[long]], _saves(whole)[at[long]], rules),
        keys=keys_of(batch, contents, said_in),
        failed=whole.failed[at],
        pico=whole.pico[at],
        said=said,
        offered=offered if any(offered) or any(one.called for one in said) else (),
    )


def _texts(said: Content) -> list[str]:
    return [message.text for message in said.messages or ()]


def keys_of(batch: Batch, contents: Sequence[Content | None], rows: Sequence[int]) -> Hashes:
    """Return digests of calls that choose samples of them: they know no order."""
    ids = batch.texts("id")
    answers = ("" if (said := contents[row]) is None else said.answer for row in rows)
    return hashes64(
        [
            f"{ids[row] or batch.place(row)}\0{answer}"
            for row, answer in zip(rows, answers, strict=True)
        ]
    )


def says_anything(said: Content | None) -> bool:
    """Tell whether a call has what tells its step: a prompt, or tools."""
    if said is None:
        return False
    roles = ("system", "developer", "user")
    return bool(said.tools) or any(
        message.role in roles and message.text.strip() for message in said.messages or ()
    )


def form_in(said: Content) -> Form | None:
    """Return what of a call's content tells its step."""
    asked = "" if said.schema is None else digest(dict(said.schema))
    return form_of(said.messages, (tool.name for tool in said.tools), asked)


def estimated(
    said: Content, read: float | None, wrote: float | None, estimate: Estimate
) -> tuple[float | None, float | None]:
    """Return the tokens of a call, those that the log does not tell counted from its texts."""
    if read is None and said.messages:
        read = sum(estimate(message.text) for message in said.messages)
    if wrote is None and said.messages and said.answer is not None:
        wrote = estimate(said.answer)
    return read, wrote


def _asked(
    said: Sequence[Content], models: Sequence[str], tools: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the system prompt of each call, and all that it asks."""
    systems: list[str] = []
    requests: list[str] = []
    for one, model, offered in zip(said, models, tools, strict=True):
        parts, system = [model, offered], []
        for message in one.messages or ():
            content = message.content
            text = content if type(content) is str else message.text
            parts += (message.role, text)
            if message.role in _SYSTEM:
                system.append(text)
        systems.append("\0".join(system))
        requests.append("\0".join(parts))
    return systems, requests


def _offered(
    batch: Batch, said: Sequence[Content], rows: Sequence[int], prompts: Prompts
) -> list[Offered]:
    if not any(one.tools for one in said):
        return [()] * len(said)
    names, sizes = list(batch.words("tool_names")), batch.numbers("tools_bytes").tolist()
    return [
        prompts.offered(one, names[row], sizes[row]) for one, row in zip(said, rows, strict=True)
    ]


def _saves(whole: Part) -> Floats:
    """Return the dollars a million tokens that a cached prefix saves, 0 where one was cached."""
    found = np.nan_to_num(whole.rates["input"] - whole.rates["cached"])
    return np.where(np.nan_to_num(whole.numbers["cached_tokens"]) > 0, 0.0, found)
