"""The routes beside the chat wire: readiness, metrics, feedback. It knows no ledger and no tier."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from stepdown.adapters.gateway.answers import JSON, Answer, bad_request, failure
from stepdown.adapters.gateway.exposition import CONTENT_TYPE
from stepdown.adapters.gateway.wire import encode
from stepdown.ports.operations import Operations, Said

READY = "/readyz"
METRICS = "/metrics"
FEEDBACK = "/v1/feedback"
MOST_FEEDBACK_BYTES = 64 * 1024
_AT_ONCE = 4  # look-ups of traces: each may have to read the spool
_Id = Annotated[str, Meta(min_length=1, max_length=200)]
_Short = Annotated[str, Meta(max_length=200)]


class _Given(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/feedback; an unknown key is an error, for it would be lost."""

    trace_id: _Id
    score: Annotated[float, Meta(ge=0, le=1)] | None = None
    label: Annotated[str, Meta(min_length=1, max_length=4000)] | None = None
    comment: Annotated[str, Meta(min_length=1, max_length=8000)] | None = None
    by: _Short = ""
    key: _Id | None = None


_decoder = msgspec.json.Decoder(_Given)


class OperationRoutes:
    """Answer the routes with an Operations."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._looking = asyncio.Semaphore(_AT_ONCE)

    def ready(self, *, details: bool) -> Answer:
        """Say whether requests should be sent here: 200, or 503 with Retry-After."""
        state = self._operations.ready()
        is_ready = bool(state["ready"])
        body = dict(state) if details else {"ready": is_ready}
        wait = () if is_ready else ((b"retry-after", b"1"),)
        return Answer(200 if is_ready else 503, encode(body), JSON + wait)

    async def metrics(self) -> Answer:
        """Return the page that Prometheus reads."""
        body = await asyncio.to_thread(self._operations.metrics)
        return Answer(200, body, ((b"content-type", CONTENT_TYPE),))

    async def feedback(self, body: bytes) -> Answer:
        """Keep what somebody says of an answer."""
        said = _read(body)
        if isinstance(said, Answer):
            return said
        async with self._looking:
            kept = await asyncio.to_thread(self._operations.feedback, said)
        if kept is None:
            return failure(
                404,
                f"no answer with the trace id {said.trace_id[:100]!r} is kept. The id is in the "
                'header x-stepdown-trace of each answer; a task with store = "none" keeps none.',
                "not_found_error",
                code="trace_not_found",
                param="trace_id",
            )
        return Answer(200, encode(kept))


def _read(body: bytes) -> Said | Answer:
    try:
        given = _decoder.decode(body)
    except msgspec.ValidationError as error:
        return bad_request(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return bad_request(f"the body is not valid JSON: {error}")
    if given.score is None and given.label is None and given.comment is None:
        return bad_request("give at least one of `score` (0 to 1), `label` and `comment`.")
    plain: dict[str, Any] = msgspec.structs.asdict(given)
    return Said(**plain)
