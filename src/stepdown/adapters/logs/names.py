"""Which step and which session a logged call belongs to, by rules in a fixed order.

A call that no rule names is left without a step: the audit clusters those by their system prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct

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


class _Where(Struct, frozen=True):
    """Where in some fields which keys stand: the place of a field and the key, the first first."""

    step: tuple[tuple[int, str], ...]
    name: tuple[tuple[int, str], ...]
    session: tuple[tuple[int, str], ...]
    user: tuple[tuple[int, str], ...]


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
    told = [field for field in fields if field]
    return _step(told, _where(told), names, list(tags))


def name_row(
    row: Row,
    flag: str | None,
    fields: Iterable[Fields | None] = (),
    names: Fields | None = None,
    tags: Iterable[str] = (),
) -> None:
    """Write the step, the rule that found it, the session and the tags into a row."""
    told = [field for field in fields if field]
    where = _where(told)
    tags = [str(tag) for tag in tags]
    row.step, row.step_rule = (flag, "flag") if flag else _step(told, where, names, tags)
    row.tags = ",".join(tags) or None
    if row.session is None and where.session:
        row.session, _ = _first(told, where.session) or (None, "")
    if row.user is None and where.user:
        row.user, _ = _first(told, where.user) or (None, "")


def header_fields(headers: Fields | None) -> Fields:
    """Return headers under plain names: `X-Stepdown-Step` becomes `stepdown_step`."""
    return {_plain(name): value for name, value in headers.items()} if headers else {}


def session_of(*fields: Fields | None) -> str | None:
    """Return the id of the message or session that a call belongs to."""
    told = [field for field in fields if field]
    found = _first(told, _where(told).session)
    return found[0] if found else None


def _plain(name: str) -> str:
    low = name.lower().removeprefix("helicone-property-").removeprefix("x-")
    return low.replace("-", "_")


def _step(
    told: Sequence[Fields], where: _Where, names: Fields | None, tags: list[str]
) -> tuple[str | None, str | None]:
    if found := _first(told, where.step):
        return found[0], f"metadata {found[1]}"
    if names and (found := _first([names], _keys(names, NAME_KEYS))):
        return found[0], f"name {found[1]}"
    if found := _first(told, where.name):
        return found[0], f"name {found[1]}"
    return _tagged(tags) or (None, None)


def _first(told: Sequence[Fields], places: Iterable[tuple[int, str]]) -> tuple[str, str] | None:
    for place, key in places:
        value = told[place][key]
        if isinstance(value, str | int) and value != "":
            return str(value), key
    return None


def _keys(names: Fields, keys: Iterable[str]) -> list[tuple[int, str]]:
    return [(0, key) for key in keys if key in names]


def _where(told: Sequence[Fields]) -> _Where:
    return _found(tuple([tuple(field) for field in told]))


@lru_cache(maxsize=512)
def _found(shape: tuple[tuple[str, ...], ...]) -> _Where:
    """Return where which keys stand; the calls of a log are much alike."""

    def places(keys: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
        return tuple(
            (place, key) for key in keys for place, field in enumerate(shape) if key in field
        )

    return _Where(*map(places, (STEP_KEYS, _SURE_NAME_KEYS, SESSION_KEYS, USER_KEYS)))


def _tagged(tags: list[str]) -> tuple[str, str] | None:
    for tag in tags:
        for prefix in TAG_PREFIXES:
            if tag.startswith(prefix) and len(tag) > len(prefix):
                return tag.removeprefix(prefix), "tag"
    return (tags[0], "tag") if len(tags) == 1 else None
