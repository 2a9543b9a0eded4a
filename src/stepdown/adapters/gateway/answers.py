"""What the gateway sends back over HTTP: status, headers, body, and the headers that explain."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.adapters.gateway.faults import Headers
from stepdown.core.call import Reply
from stepdown.core.trace import Trace

JSON: Headers = ((b"content-type", b"application/json"),)
TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)
EVENTS: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the pieces back
)
PENDING = b"pending"
_LONGEST_VALUE = 500
_encoder = msgspec.json.Encoder()


class Answer(Struct, frozen=True):
    """One HTTP response."""

    status: int
    body: bytes
    headers: Headers = JSON


def encode(value: Any) -> bytes:
    """Return plain values as JSON."""
    return _encoder.encode(value)


def explained(reply: Reply, ignored: tuple[str, ...] = (), *, whole: bool = True) -> Headers:
    """Return the headers that say who answered, how sure, what it cost, what is promised.

    Of an answer that is not `whole` yet the cost and the confidence are not known yet.
    """
    return explained_trace(
        reply.trace,
        ignored=(*reply.ignored, *ignored),
        recorded=reply.recorded,
        note=reply.note,
        whole=whole,
    )


def explained_trace(
    trace: Trace,
    *,
    ignored: tuple[str, ...] = (),
    recorded: bool = False,
    note: str = "",
    whole: bool = True,
) -> Headers:
    """Return the headers that explain a trace."""
    unknown = b"unknown" if whole else PENDING
    escalations = trace.escalations
    said = (
        (b"x-stepdown-escalations", ", ".join(escalations)),
        (b"x-stepdown-outside-guarantee", trace.outside_guarantee),
        (b"x-stepdown-contract-matched", None if trace.contract_matched else "false"),
        (b"x-stepdown-recorded", "true" if recorded else None),
        (b"x-stepdown-note", note),
        (b"x-stepdown-ignored", ", ".join(ignored)),
    )
    return (
        (b"x-stepdown-trace", safe_value(trace.id)),
        (b"x-stepdown-tier", _word(trace.answered_by or "none")),
        (b"x-stepdown-reason", _word(trace.reason)),
        (b"x-stepdown-escalated", b"true" if escalations else b"false"),
        (b"x-stepdown-confidence", _number(trace.confidence, unknown)),
        (b"x-stepdown-cost-usd", _number(trace.cost_usd, unknown)),
        (b"x-stepdown-guarantee", _word(trace.guarantee)),
        *[(name, safe_value(value)) for name, value in said if value],
    )


def _number(value: float | None, unknown: bytes) -> bytes:
    return unknown if value is None else b"%.6g" % value


def safe_value(text: str) -> bytes:
    """Return a header value: Latin-1, one line, not too long; other characters become `?`."""
    if text.isascii() and text.isprintable() and len(text) <= _LONGEST_VALUE:
        return text.strip().encode()
    line = " ".join(text.split())[:_LONGEST_VALUE]
    return "".join(c if c.isprintable() else "?" for c in line).encode("latin-1", "replace")


_word = lru_cache(maxsize=256)(safe_value)  # of values that are few: tiers, reasons, states
