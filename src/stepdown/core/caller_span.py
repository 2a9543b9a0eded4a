"""The caller's span that a request belongs to, read from a W3C `traceparent`.

Source: W3C Recommendation "Trace Context", section 3.2 (level 1, 2021-11-23): what does not follow
the format is ignored, as if it had not been sent.
"""

from __future__ import annotations

import re

from msgspec import Struct

HEADER = "traceparent"
_FORMAT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_SAMPLED = 0x01


class CallerSpan(Struct, frozen=True):
    """The trace and the span of a caller, in lower-case hex, and whether the caller records it."""

    trace_id: str
    span_id: str
    sampled: bool


def read_caller_span(said: str) -> CallerSpan | None:
    """Return the span that a `traceparent` names, None where it does not follow the format.

    Version 00 ends with its flags; of later ones only what they share with it is read.
    """
    found = _FORMAT.fullmatch(said)
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["more"]):
        return None
    if not int(found["trace"], 16) or not int(found["span"], 16):
        return None
    return CallerSpan(found["trace"], found["span"], bool(int(found["flags"], 16) & _SAMPLED))
