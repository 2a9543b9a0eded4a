"""Which step and which session a logged call belongs to, by rules in a fixed order.

A call that no rule names is left without a step: the audit clusters those by their system prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from stepdown.adapters.logs.rows import Row

STEP_KEYS = ("step", "stepdown_step", "step_name", "task", "task_name")
NAME_KEYS = ("span_name", "prompt_name", "prompt_id", "run_name", "generation_name", "name")
# In free metadata, a bare `name` is more often a person's than a step's.
_SURE_NAME_KEYS = NAME_KEYS[:-1]
TAG_PREFIXES = ("step:", "task:", "step=", "task=")
SESSION_KEYS = (
    "message_id",
    "session_id",
    "session",
    "conversation_id",
    "thread_id",
    "trace_id",
    "request_group",
)
USER_KEYS = ("user_id", "user", "end_user", "customer_id")
Fields = Mapping[str, Any]


def step_of(
    *,
    flag: str | None = None,
    fields: Iterable[Fields] = (),
    names: Fields | None = None,
    tags: Iterable[str] = (),
) -> tuple[str | None, str | None]:
    """Return a step's name and the rule that found it, (None, None) when none does.

    Order: the user's flag; `step` or `task` in headers or metadata (`fields`, first come first);
    the span's, prompt's or run's own name; a tag.
    """
    if flag:
        return flag, "flag"
    every = [field for field in fields if field]
    found = (
        _first(every, STEP_KEYS, "metadata")
        or _first([names or {}], NAME_KEYS, "name")
        or _first(every, _SURE_NAME_KEYS, "name")
    )
    return found or _tagged(list(tags)) or (None, None)


def name_row(
    row: Row,
    flag: str | None,
    fields: Iterable[Fields | None] = (),
    names: Fields | None = None,
    tags: Iterable[str] = (),
) -> None:
    """Write the step, the rule that found it, the session and the tags into a row."""
    told = [field for field in fields if field]
    tags = [str(tag) for tag in tags]
    row.step, row.step_rule = step_of(flag=flag, fields=told, names=names, tags=tags)
    if row.session is None and told:
        row.session = session_of(*told)
    row.tags = ",".join(tags) or None
    if row.user is None and told:
        found = _first(told, USER_KEYS, "")
        row.user = found[0] if found else None


def header_fields(headers: Fields | None) -> Fields:
    """Return headers under plain names: `X-Stepdown-Step` becomes `stepdown_step`."""
    return {_plain(name): value for name, value in (headers or {}).items()}


def session_of(*fields: Fields | None) -> str | None:
    """Return the id of the message or session that a call belongs to."""
    found = _first([field for field in fields if field], SESSION_KEYS, "")
    return found[0] if found else None


def _plain(name: str) -> str:
    low = name.lower().removeprefix("helicone-property-").removeprefix("x-")
    return low.replace("-", "_")


def _first(fields: Sequence[Fields], keys: tuple[str, ...], rule: str) -> tuple[str, str] | None:
    for place, key in _places(tuple([tuple(field) for field in fields]), keys):
        value = fields[place][key]
        if isinstance(value, str | int) and value != "":
            return str(value), f"{rule} {key}"
    return None


@lru_cache(maxsize=512)
def _places(
    shape: tuple[tuple[str, ...], ...], keys: tuple[str, ...]
) -> tuple[tuple[int, str], ...]:
    """Return where which of the keys stand, in their order; the calls of a log are much alike."""
    return tuple((place, key) for key in keys for place, field in enumerate(shape) if key in field)


def _tagged(tags: list[str]) -> tuple[str, str] | None:
    for tag in tags:
        for prefix in TAG_PREFIXES:
            if tag.startswith(prefix) and len(tag) > len(prefix):
                return tag.removeprefix(prefix), "tag"
    return (tags[0], "tag") if len(tags) == 1 else None
