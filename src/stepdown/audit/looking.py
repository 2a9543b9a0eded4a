"""Read what was said in one logged call into digests, names and a sample for the inference."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan

import msgspec
from msgspec import Struct

from stepdown.audit.cluster import Form, form_of
from stepdown.audit.rules import Rules
from stepdown.audit.sketch import hash64
from stepdown.audit.tally import Looked, Seen, request_hash
from stepdown.core.digest import digest
from stepdown.core.usage_log import Content

Estimate = Callable[[str], int]


class Cache(Struct, frozen=True):
    """When a call was made, and the dollars a million tokens that a cached prefix saves."""

    at_s: float
    saves: float
    rules: Rules

    def prefix(self, system: str, tools: str, model: str | None) -> tuple[int, int, int] | None:
        """Return digest, window of time and saving of a prompt long enough to be cached."""
        tokens = len(system.encode("utf-8", "replace")) / self.rules.bytes_per_token
        if tokens < self.rules.cache_tokens or isnan(self.at_s) or not self.saves > 0:
            return None
        window = int(self.at_s // self.rules.cache_s)
        return hash64(f"{model}\0{tools}\0{system}"), window, round(tokens * self.saves * 1e6)


def looked_at(
    said: Content,
    name: str,
    model: str | None,
    *,
    failed: bool,
    pico: int,
    cache: Cache | None = None,
) -> Looked | None:
    """Return what the content of a call tells, None when the log has none."""
    if not said.messages:
        return None
    texts = [f"{message.role}\0{message.text}" for message in said.messages]
    system = "\0".join(m.text for m in said.messages if m.role in ("system", "developer"))
    offered = tuple((tool.name, len(msgspec.json.encode(tool))) for tool in said.tools)
    tools = "\0".join(tool for tool, _ in offered)
    answer = said.answer
    seen = None if answer is None else Seen(said.messages, answer, len(said.tools))
    return Looked(
        request=request_hash(model or "", tools, *texts),
        system=hash64(system) if system else None,
        answer=answer,
        offered=offered,
        called=said.called,
        key=hash64(f"{name}\0{answer}"),
        seen=seen,
        failed=failed,
        pico=pico,
        prefix=None if cache is None or not system else cache.prefix(system, tools, model),
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
