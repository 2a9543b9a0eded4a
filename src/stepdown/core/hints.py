"""Hints: what a caller may tell about a request. They can tighten what is configured, never widen.

They travel in the request's metadata or in `x-stepdown-NAME` headers, as texts; the caller's span
also in the header `traceparent`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from stepdown.core.caller_span import HEADER, CallerSpan, read_caller_span
from stepdown.core.task import PLACES, Place
from stepdown.errors import InputError

LONGEST = 512  # as long as a value of the OpenAI wire's metadata may be
LONGEST_WAIT_MS = 86_400_000  # a day


class Hints(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The hints of one request, read; None is what the caller did not say.

    `boundary` counts only where it is tighter than the task's, `customer_facing` only where it is
    true. `message_id` joins the steps of one message; a `trace_id` stands in for it.
    """

    task: str | None = None
    step: str | None = None
    message_id: str | None = None
    session: str | None = None
    segment: str | None = None
    customer_facing: bool = False
    boundary: Place | None = None
    deadline_s: float | None = None
    caller_span: CallerSpan | None = None


def read_hints(metadata: Mapping[str, str]) -> Hints:
    """Return the hints in a request's metadata; names that are no hints are left alone.

    Raises:
        InputError: a hint with a value that it cannot have; says which and what it can have.
    """
    if not metadata:
        return _NONE
    found = {name: read(metadata) for name, read in _READ.items()}
    return Hints(**{name: value for name, value in found.items() if value is not None})


def _text(*names: str) -> Callable[[Mapping[str, str]], str | None]:
    def read(metadata: Mapping[str, str]) -> str | None:
        said = [metadata[name] for name in names if metadata.get(name)]
        return said[0][:LONGEST] if said else None

    return read


def _customer_facing(metadata: Mapping[str, str]) -> bool | None:
    said = metadata.get("customer_facing")
    if said is None or said.lower() in _TRUTH:
        return None if said is None else _TRUTH[said.lower()]
    raise _wrong("customer_facing", said, "true or false")


def _boundary(metadata: Mapping[str, str]) -> Place | None:
    said = metadata.get("boundary")
    if said is None or said in PLACES:
        return said
    raise _wrong("boundary", said, f"one of {', '.join(PLACES)}")


def _deadline(metadata: Mapping[str, str]) -> float | None:
    said = metadata.get("deadline_ms")
    if said is None:
        return None
    whole = said.isascii() and said.isdigit() and len(said) <= len(str(LONGEST_WAIT_MS))
    if not whole or not 0 < int(said) <= LONGEST_WAIT_MS:
        raise _wrong("deadline_ms", said, f"a whole number from 1 to {LONGEST_WAIT_MS}")
    return int(said) / 1000


def _caller_span(metadata: Mapping[str, str]) -> CallerSpan | None:
    said = metadata.get(HEADER)
    return None if said is None else read_caller_span(said)


def _wrong(name: str, said: str, allowed: str) -> InputError:
    return InputError(f"The hint {name!r} is {said[:80]!r}.", f"It can be {allowed}.")


_NONE = Hints()
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_READ: Mapping[str, Callable[[Mapping[str, str]], Any]] = {
    "task": _text("task"),
    "step": _text("step"),
    "message_id": _text("message_id", "trace_id"),
    "session": _text("session", "session_id"),
    "segment": _text("segment"),
    "customer_facing": _customer_facing,
    "boundary": _boundary,
    "deadline_s": _deadline,
    "caller_span": _caller_span,
}
