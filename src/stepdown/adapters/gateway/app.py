"""The gateway as a raw ASGI application: its paths, who may come in, and the edge for errors.

It does not know tiers or policies: a Handler answers. The Handler writes its trace before it
returns, so an answer that leaves here is in the ledger.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from stepdown.adapters.gateway import openapi
from stepdown.adapters.gateway.answering import Answering
from stepdown.adapters.gateway.answers import TEXT, Answer, encode
from stepdown.adapters.gateway.browsing import Browsing, Reading, is_page
from stepdown.adapters.gateway.chat import ChatSurface
from stepdown.adapters.gateway.door import Door, is_loopback
from stepdown.adapters.gateway.embeddings import Embeddings
from stepdown.adapters.gateway.faults import (
    stepdown_fault,
    unforeseen,
    unknown_model,
    unknown_path,
    wrong_method,
)
from stepdown.adapters.gateway.hanging_up import HANG_UP, GoneError
from stepdown.adapters.gateway.messages import MessagesSurface
from stepdown.adapters.gateway.operations import OperationRoutes
from stepdown.adapters.gateway.request_ids import safe_id
from stepdown.adapters.gateway.surface import Surface
from stepdown.adapters.gateway.visit import Receive, RefusedError, Route, Scope, Send, Visit
from stepdown.errors import StepdownError
from stepdown.ports.handler import Handler
from stepdown.ports.operations import Operations
from stepdown.ports.pages import PREFIX, Pages

__all__ = ["GatewayApp", "is_loopback"]

_CHAT = "/v1/chat/completions"
_EMBEDDINGS = "/v1/embeddings"
_MESSAGES = "/v1/messages"
_MODELS = "/v1/models"
_PATIENCE_S = 15.0  # proxies cut a silent connection after 30 to 60 s
_ABOUT = """\
This is the gateway of Stepdown {version}. It answers chat requests of the OpenAI wire at
POST {chat} and messages of the Anthropic wire at POST {messages}.
Set your client's base URL to http://HOST:PORT/v1 (Anthropic clients: http://HOST:PORT) and its
`model` to a task (GET {models} lists them). Each answer's x-stepdown-* headers say which tier
answered, how sure it was, what it cost and what is promised; `stepdown explain REQUEST_ID` shows
every attempt.
"""
_SHOWN = f"A person with a browser finds the dashboard at {PREFIX}.\n"
_log = logging.getLogger("stepdown.gateway")


class GatewayApp:
    """Answer the wires that callers speak, by a Handler.

    `api_key` is the key that callers must send (`Door`). `clock` is the wall clock in seconds
    since 1970. `more` are further routes: path to method and route. `operations`
    answers `/readyz`, `/metrics` and `/v1/feedback`, `pages` what is below `/ui`; `reading` says
    who may read there (`Browsing`).
    """

    def __init__(
        self,
        handler: Handler,
        *,
        operations: Operations | None = None,
        api_key: str | None = None,
        max_body_bytes: int = 8 * 1024 * 1024,
        version: str = "",
        clock: Callable[[], float] = time.time,
        patience_s: float = _PATIENCE_S,
        more: Mapping[str, tuple[str, Route]] = {},
        pages: Pages | None = None,
        reading: Reading = "key",
    ) -> None:
        self._handler = handler
        self._door = Door(api_key)
        self._version = version
        self._chat: Surface = ChatSurface()
        self._messages: Surface = MessagesSurface()
        asked = Answering(
            handler, max_body_bytes=max_body_bytes, patience_s=patience_s, clock=clock
        )
        self._routes: Mapping[str, tuple[str, Route]] = {
            "/": ("GET", self._about),
            "/healthz": ("GET", self._health),
            openapi.PATH: ("GET", self._document),
            _MODELS: ("GET", self._models),
            _CHAT: ("POST", asked),
            _MESSAGES: ("POST", asked),
            _EMBEDDINGS: ("POST", Embeddings(handler, max_body_bytes=max_body_bytes)),
            **more,
        }
        self._pages = (
            None if pages is None else Browsing(pages, api_key, self._door.knows, clock, reading)
        )
        self._operations = operations
        self._open: tuple[Route, ...] = (self._about, self._health)
        if operations is not None:
            beside = OperationRoutes(operations, self._door)
            self._routes = {**self._routes, **beside.routes}
            self._open = (*self._open, beside.ready)

    @property
    def has_key(self) -> bool:
        """Whether callers must send a key; without one only a loopback address may be served."""
        return self._door.has_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI event."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        visit = Visit(
            id=safe_id(headers.get(b"x-request-id", b"").decode("latin-1")),
            path=scope["path"],
            method=scope["method"],
            headers=headers,
            receive=receive,
            send=send,
            surface=self._spoken(scope["path"], headers),
            on_hang_up=scope.get("extensions", {}).get(HANG_UP),
            query=scope.get("query_string", b""),
        )
        try:
            answer = await self._answer(visit)
        except GoneError:
            return
        self._count(visit.path, answer)
        if answer is not None:
            await visit.reply(answer)

    def _count(self, path: str, answer: Answer | None) -> None:
        """Count a response by its route; a path that nobody serves is no name of one."""
        if self._operations is not None:
            known = path if path in self._routes else PREFIX if is_page(path) else "other"
            self._operations.response(known, 200 if answer is None else answer.status)

    async def _answer(self, visit: Visit) -> Answer | None:
        try:
            return await self._route(visit)(visit)
        except RefusedError as error:
            return visit.fault(error.fault)
        except StepdownError as error:
            return visit.fault(stepdown_fault(error))
        except GoneError:
            raise
        except Exception:  # noqa: BLE001 the edge: nothing of the inside may leave it
            _log.exception("request %s failed", visit.id)
            return visit.fault(unforeseen(visit.id))

    def _spoken(self, path: str, headers: Mapping[bytes, bytes]) -> Surface:
        """Return the wire of a request: its path, or the header that one vendor's clients send."""
        is_messages = path.startswith(_MESSAGES) or b"anthropic-version" in headers
        return self._messages if is_messages and path not in (_CHAT, _EMBEDDINGS) else self._chat

    def _route(self, visit: Visit) -> Route:
        """Return what answers a request.

        Raises:
            RefusedError: it may not come in, or there is nothing at its path.
        """
        path = visit.path
        if self._pages is not None and is_page(path):
            return self._page(visit, self._pages)
        is_model = path.startswith(f"{_MODELS}/")
        method, route = ("GET", self._model) if is_model else self._routes.get(path, ("", None))
        is_open = route in self._open
        if (refused := self._door.refusal(visit.headers, is_open=is_open)) is not None:
            raise RefusedError(refused)
        if route is None:
            raise RefusedError(unknown_path(path, tuple(self._routes)))
        if visit.method != method and (visit.method, method) != ("HEAD", "GET"):
            raise RefusedError(wrong_method(path, method))
        return route

    def _page(self, visit: Visit, pages: Browsing) -> Route:
        """Return what shows pages: they have a sign-in of their own, but no other site's page may
        ask for them either.
        """
        if not self._door.has_key and (refused := self._door.refusal(visit.headers, is_open=True)):
            raise RefusedError(refused)
        return pages

    async def _about(self, _visit: Visit) -> Answer:
        text = _ABOUT.format(version=self._version, chat=_CHAT, messages=_MESSAGES, models=_MODELS)
        shown = "" if self._pages is None else _SHOWN
        return Answer(200, (text + shown).encode(), TEXT)

    async def _document(self, _visit: Visit) -> Answer:
        beside = {path: method for path, (method, _) in self._routes.items()}
        return Answer(200, encode(openapi.document(self._version, beside)))

    async def _health(self, visit: Visit) -> Answer:
        """Say that it is up; the state of the guarantees only to whoever has the key."""
        if not self._door.knows(visit.headers):
            return Answer(200, encode({"status": "ok"}))
        state = {"status": "ok", "version": self._version, "guarantees": self._handler.status()}
        return Answer(200, encode(state))

    async def _models(self, visit: Visit) -> Answer:
        return Answer(200, visit.surface.models(self._handler.models()))

    async def _model(self, visit: Visit) -> Answer:
        name = visit.path.removeprefix(f"{_MODELS}/")
        if not self._handler.knows(name):
            raise RefusedError(unknown_model(name, self._handler.models()))
        return Answer(200, visit.surface.model(name))


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
