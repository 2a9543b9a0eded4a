"""What the gateway sends back over HTTP: status, headers, body, and the headers that explain."""

from __future__ import annotations

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
PENDING = "pending"
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
    unknown = "unknown" if whole else PENDING
    pairs = [
        ("x-stepdown-trace", trace.id),
        ("x-stepdown-tier", trace.answered_by or "none"),
        ("x-stepdown-reason", trace.reason),
        ("x-stepdown-escalated", "true" if trace.escalated else "false"),
        ("x-stepdown-confidence", _number(trace.confidence, unknown)),
        ("x-stepdown-cost-usd", _number(trace.cost_usd, unknown)),
        ("x-stepdown-guarantee", trace.guarantee),
    ]
    said = [
        ("x-stepdown-escalations", ", ".join(trace.escalations)),
        ("x-stepdown-outside-guarantee", trace.outside_guarantee or ""),
        ("x-stepdown-contract-matched", "" if trace.contract_matched else "false"),
        ("x-stepdown-recorded", "true" if recorded else ""),
        ("x-stepdown-note", note),
        ("x-stepdown-ignored", ", ".join(ignored)),
    ]
    pairs += [pair for pair in said if pair[1]]
    return tuple([(name.encode(), safe_value(value)) for name, value in pairs])


def _number(value: float | None, unknown: str) -> str:
    return unknown if value is None else f"{value:.6g}"


def safe_value(text: str) -> bytes:
    """Return a header value: Latin-1, one line, not too long; other characters become `?`."""
    if text.isascii() and text.isprintable() and len(text) <= _LONGEST_VALUE:
        return text.strip().encode()
    line = " ".join(text.split())[:_LONGEST_VALUE]
    return "".join(c if c.isprintable() else "?" for c in line).encode("latin-1", "replace")
