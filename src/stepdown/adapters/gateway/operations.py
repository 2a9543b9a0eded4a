"""The routes beside the wires: readiness, metrics, feedback. It knows no ledger and no tier."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from stepdown.adapters.gateway.answers import JSON, Answer, encode
from stepdown.adapters.gateway.bodies import read_body
from stepdown.adapters.gateway.door import Door
from stepdown.adapters.gateway.exposition import CONTENT_TYPE
from stepdown.adapters.gateway.faults import Fault, bad_request
from stepdown.adapters.gateway.visit import RefusedError, Route, Visit
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
    """Answer the routes with an Operations; `door` says who sees details."""

    def __init__(self, operations: Operations, door: Door) -> None:
        self._operations = operations
        self._door = door
        self._looking = asyncio.Semaphore(_AT_ONCE)

    @property
    def routes(self) -> Mapping[str, tuple[str, Route]]:
        """Each path with its method and what answers it."""
        return {
            READY: ("GET", self.ready),
            METRICS: ("GET", self._metrics),
            FEEDBACK: ("POST", self._feedback),
        }

    async def ready(self, visit: Visit) -> Answer:
        """Say whether requests should come here: 200, or 503; why, only to whoever has the key."""
        state = self._operations.ready()
        is_ready = bool(state["ready"])
        body = dict(state) if self._door.knows(visit.headers) else {"ready": is_ready}
        wait = () if is_ready else ((b"retry-after", b"1"),)
        return Answer(200 if is_ready else 503, encode(body), JSON + wait)

    async def _metrics(self, _visit: Visit) -> Answer:
        body = await asyncio.to_thread(self._operations.metrics)
        return Answer(200, body, ((b"content-type", CONTENT_TYPE),))

    async def _feedback(self, visit: Visit) -> Answer:
        said = _read(await read_body(visit, MOST_FEEDBACK_BYTES))
        async with self._looking:
            kept = await asyncio.to_thread(self._operations.feedback, said)
        if kept is None:
            raise RefusedError(_unknown_trace(said.trace_id))
        return Answer(200, encode(kept))


def _unknown_trace(trace_id: str) -> Fault:
    return Fault(
        status=404,
        message=f"no answer with the trace id {trace_id[:100]!r} is kept. The id is in the header "
        'x-stepdown-trace of each answer; a task with store = "none" keeps none.',
        kind="not_found_error",
        code="trace_not_found",
        param="trace_id",
    )


def _read(body: bytes) -> Said:
    try:
        given = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise RefusedError(bad_request(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(bad_request(f"the body is not valid JSON: {error}")) from None
    if given.score is None and given.label is None and given.comment is None:
        said = "give at least one of `score` (0 to 1), `label` and `comment`."
        raise RefusedError(bad_request(said))
    plain: dict[str, Any] = msgspec.structs.asdict(given)
    return Said(**plain)
