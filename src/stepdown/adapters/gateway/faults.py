"""What went wrong with a request, before any surface words it.

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
    Busy: our own queue is full           503 overloaded, with Retry-After
    Down: the breaker is open             503 provider_error, with Retry-After
    another ModelError                    502 provider_error
    TimedOut                              504 deadline
    anything unforeseen                   500 server_error, without internals
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from math import ceil

from msgspec import Struct

from stepdown.errors import Busy, Down, ModelError, Overloaded, StepdownError, TimedOut, Unavailable

Headers = tuple[tuple[bytes, bytes], ...]
SHOWN = 100
RETRY_AFTER_S = 1.0  # where nobody said how long
_INVALID = "invalid_request_error"


class Fault(Struct, frozen=True, kw_only=True):
    """An error as a caller learns of it; `param` is the path of the part that is wrong."""

    status: int
    message: str
    kind: str
    code: str | None = None
    param: str | None = None
    headers: Headers = ()


class BadBodyError(Exception):
    """The body is not a request of its surface: a sentence, and the path of what is wrong."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


def bad_request(message: str, param: str | None = None, code: str | None = None) -> Fault:
    """Return what a request is told that its sender must change."""
    return Fault(status=400, message=message, kind=_INVALID, code=code, param=param)


def unauthorized() -> Fault:
    """Return what a request without the right key is told."""
    return Fault(
        status=401,
        message="the API key is missing or wrong: send `Authorization: Bearer KEY`.",
        kind="authentication_error",
        code="invalid_api_key",
        headers=((b"www-authenticate", b"Bearer"),),
    )


def not_local() -> Fault:
    """Return what a web page of another site is told."""
    said = "without an API key the gateway answers only programs on this machine. Set a key."
    return Fault(status=403, message=said, kind="permission_error", code="not_local")


def unknown_path(path: str, known: Sequence[str]) -> Fault:
    """Return the answer to an unknown path."""
    said = f"there is nothing at {path[:SHOWN]!r}. Known: {', '.join(known)}."
    return Fault(status=404, message=said, kind="not_found_error", code="unknown_path")


def unknown_model(asked: str, known: Sequence[str]) -> Fault:
    """Return the answer to an unknown model: the nearest name, then all of them."""
    near = get_close_matches(asked[:SHOWN], known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    said = f"no task or tier is named {asked[:SHOWN]!r}.{hint} Known: {', '.join(known)}."
    return Fault(
        status=404, message=said, kind="not_found_error", code="model_not_found", param="model"
    )


def wrong_method(path: str, method: str) -> Fault:
    """Return the answer to another method than the one that a path takes."""
    said = f"{path[:SHOWN]} takes {method} only."
    allow = ((b"allow", method.encode()),)
    return Fault(status=405, message=said, kind=_INVALID, code="method_not_allowed", headers=allow)


def too_large(limit: int) -> Fault:
    """Return the answer to a body that is too large."""
    said = f"the body is larger than {limit} bytes."
    return Fault(status=413, message=said, kind=_INVALID, code="body_too_large")


def unforeseen(request_id: str) -> Fault:
    """Return the answer where the gateway itself failed: nothing of the inside may leave it."""
    said = f"the gateway failed; its log has the reason under {request_id}"
    return Fault(status=500, message=said, kind="server_error", code="internal_error")


def stepdown_fault(error: StepdownError) -> Fault:
    """Return the answer to any error that is raised on purpose."""
    if not isinstance(error, ModelError):
        return bad_request(str(error))
    status, extra = _status(error)
    return Fault(status=status, message=str(error), kind=error.kind, code=error.kind, headers=extra)


def _status(error: ModelError) -> tuple[int, Headers]:
    if isinstance(error, Unavailable):
        return 422, ((b"x-should-retry", b"false"),)
    if isinstance(error, (Overloaded, Down)):
        is_ours = isinstance(error, (Busy, Down))
        return (503 if is_ours else 429), ((b"retry-after", _wait(error)),)
    return (504 if isinstance(error, TimedOut) else 502), ()


def _wait(error: ModelError) -> bytes:
    """Return when to come back, in whole seconds as the header wants them."""
    return str(max(1, ceil(error.retry_after_s or RETRY_AFTER_S))).encode()
