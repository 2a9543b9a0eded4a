"""Read the whole body of a request, within a limit."""

from __future__ import annotations

from stepdown.adapters.gateway.faults import bad_request, too_large
from stepdown.adapters.gateway.hanging_up import GoneError
from stepdown.adapters.gateway.visit import RefusedError, Visit


async def read_body(visit: Visit, limit: int) -> bytes:
    """Return the whole body, which is not empty.

    Raises:
        RefusedError: it says that it is, or proves to be, larger than `limit` bytes, or is empty.
        GoneError: the caller hung up.
    """
    said = visit.headers.get(b"content-length", b"0")
    if said.isdigit() and int(said) > limit:
        raise RefusedError(too_large(limit))
    event = await visit.receive()
    if event["type"] == "http.request" and not event.get("more_body", False):
        return _whole(_within(event.get("body", b""), limit))
    body = bytearray()
    while True:
        if event["type"] == "http.disconnect":
            raise GoneError
        body += event.get("body", b"")
        _within(body, limit)
        if not event.get("more_body", False):
            return _whole(body)
        event = await visit.receive()


def _whole(body: bytes | bytearray) -> bytes:
    if not body:
        raise RefusedError(bad_request("the body is empty: send a JSON object."))
    return bytes(body)


def _within(body: bytes | bytearray, limit: int) -> bytes | bytearray:
    if len(body) > limit:
        raise RefusedError(too_large(limit))
    return body
