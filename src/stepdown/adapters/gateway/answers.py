"""What the gateway sends back over HTTP: status, headers, body; and how errors look.

Which error gets which status:

    the body or a header is wrong         400 invalid_request_error
    no or another API key                 401 authentication_error
    a page of another site, or another    403 permission_error
      host name, while no key is set
    an unknown path or model              404 not_found_error
    another method                        405 invalid_request_error
    the body is too large                 413 invalid_request_error
    Unavailable: no tier can answer this  422 unavailable; not 503, because the same request
                                            would fail again and a balancer must not drop the
                                            gateway for it; clients are told not to retry
    Overloaded                            429 overloaded, with Retry-After
    another ModelError                    502 provider_error
    TimedOut                              504 deadline
    anything unforeseen                   500 server_error, without internals
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from msgspec import Struct

from stepdown.adapters.gateway.wire import encode
from stepdown.core.call import Reply
from stepdown.core.trace import Trace
from stepdown.errors import ModelError, Overloaded, StepdownError, TimedOut, Unavailable

Headers = tuple[tuple[bytes, bytes], ...]
JSON: Headers = ((b"content-type", b"application/json"),)
TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)
EVENTS: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
)
_LONGEST_VALUE = 500
_RETRY_AFTER_S = b"1"


class Answer(Struct, frozen=True):
    """One HTTP response."""

    status: int
    body: bytes
    headers: Headers = JSON


def failure(
    status: int,
    message: str,
    kind: str,
    *,
    code: str | None = None,
    param: str | None = None,
    headers: Headers = (),
) -> Answer:
    """Return an error in the shape that OpenAI clients read."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return Answer(status, encode({"error": error}), JSON + headers)


def bad_request(message: str, param: str | None = None, code: str | None = None) -> Answer:
    """Return the answer to a request that its sender must change."""
    return failure(400, message, "invalid_request_error", code=code, param=param)


def unknown_model(asked: str, known: Sequence[str]) -> Answer:
    """Return the answer to an unknown model: the nearest name, then all of them."""
    near = get_close_matches(asked[:100], known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    message = f"no task or tier is named {asked[:100]!r}.{hint} Known: {', '.join(known)}."
    return failure(404, message, "not_found_error", code="model_not_found", param="model")


def model_failure(error: ModelError) -> Answer:
    """Return the answer when no tier could answer; the module says which status and why."""
    status, extra = _status(error)
    return failure(status, str(error), error.kind, code=error.kind, headers=extra)


def _status(error: ModelError) -> tuple[int, Headers]:
    if isinstance(error, Unavailable):
        return 422, ((b"x-should-retry", b"false"),)
    if isinstance(error, Overloaded):
        return 429, ((b"retry-after", _RETRY_AFTER_S),)
    return (504 if isinstance(error, TimedOut) else 502), ()


def stepdown_failure(error: StepdownError) -> Answer:
    """Return the answer to any error that is raised on purpose."""
    return model_failure(error) if isinstance(error, ModelError) else bad_request(str(error))


def explained(reply: Reply) -> Headers:
    """Return the headers that say who answered, how sure, what it cost, what is promised."""
    trace = reply.trace
    pairs = [
        ("x-stepdown-trace", trace.id),
        ("x-stepdown-tier", trace.answered_by or "none"),
        ("x-stepdown-reason", trace.reason),
        ("x-stepdown-escalated", "true" if trace.escalated else "false"),
        ("x-stepdown-confidence", _number(trace.confidence)),
        ("x-stepdown-cost-usd", _number(trace.cost_usd)),
        ("x-stepdown-guarantee", trace.guarantee),
        *_when_said(trace, reply),
    ]
    return tuple((name.encode(), safe_value(value)) for name, value in pairs)


def _when_said(trace: Trace, reply: Reply) -> list[tuple[str, str]]:
    said = [
        ("x-stepdown-escalations", ", ".join(trace.escalations)),
        ("x-stepdown-outside-guarantee", trace.outside_guarantee or ""),
        ("x-stepdown-contract-matched", "" if trace.contract_matched else "false"),
        ("x-stepdown-recorded", "true" if reply.recorded else ""),
        ("x-stepdown-note", reply.note),
    ]
    return [pair for pair in said if pair[1]]


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6g}"


def safe_value(text: str) -> bytes:
    """Return a header value: Latin-1, one line, not too long; other characters become `?`."""
    line = " ".join(text.split())[:_LONGEST_VALUE]
    return "".join(c if c.isprintable() else "?" for c in line).encode("latin-1", "replace")
