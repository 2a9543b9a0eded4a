"""The route of a surface: read the request, let the handler answer, send what comes back."""

from __future__ import annotations

import logging
from collections.abc import Callable

from stepdown.adapters.gateway.answers import JSON, Answer, explained
from stepdown.adapters.gateway.bodies import read_body
from stepdown.adapters.gateway.faults import (
    BadBodyError,
    bad_request,
    stepdown_fault,
    unforeseen,
    unknown_model,
)
from stepdown.adapters.gateway.hanging_up import GoneError, while_listened
from stepdown.adapters.gateway.streaming import EventSink
from stepdown.adapters.gateway.surface import Asking
from stepdown.adapters.gateway.visit import RefusedError, Visit
from stepdown.errors import StepdownError
from stepdown.ports.handler import Handler

_log = logging.getLogger("stepdown.gateway")


class Answering:
    """Answer the requests of any surface by a Handler."""

    def __init__(
        self,
        handler: Handler,
        *,
        max_body_bytes: int,
        patience_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._handler = handler
        self._max_body_bytes = max_body_bytes
        self._patience_s = patience_s
        self._clock = clock

    async def __call__(self, visit: Visit) -> Answer | None:
        """Answer one request."""
        asking = await self.read(visit)
        if asking.stream:
            await self._stream(visit, asking)
            return None
        reply = await while_listened(
            visit.receive, self._handler.answer(asking.call), visit.on_hang_up
        )
        body = visit.surface.whole(reply, int(self._clock()))
        return Answer(200, body, JSON + explained(reply, asking.ignored))

    async def read(self, visit: Visit) -> Asking:
        """Return what a request asks for.

        Raises:
            RefusedError: the body is wrong or too large, or nobody knows the model.
        """
        body = await read_body(visit, self._max_body_bytes)
        try:
            asking = visit.surface.read(body, visit.id, visit.hints)
        except BadBodyError as error:
            raise RefusedError(bad_request(error.message, error.param)) from None
        if not self._handler.knows(asking.call.model):
            fault = unknown_model(asking.call.model, self._handler.models())
            raise RefusedError(fault)
        return asking

    async def _stream(self, visit: Visit, asking: Asking) -> None:
        """Send an answer as a stream; an error before its first byte is raised."""
        sink = EventSink(
            visit.send,
            visit.surface.events(asking, int(self._clock())),
            own=visit.own,
            ignored=asking.ignored,
            patience_s=self._patience_s,
        )
        try:
            work = self._handler.answer(asking.call, sink)
            await sink.finish(await while_listened(visit.receive, work, visit.on_hang_up))
        except StepdownError as error:
            await sink.hush()
            if not sink.started:
                raise
            await sink.fail(stepdown_fault(error))
        except GoneError:
            raise
        except Exception:
            await sink.hush()
            if not sink.started:
                raise
            _log.exception("request %s failed", visit.id)
            await sink.fail(unforeseen(visit.id))
        finally:
            await sink.hush()
