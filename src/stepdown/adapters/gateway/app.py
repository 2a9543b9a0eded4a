"""The gateway as a raw ASGI application: routes, the key, the limit on bodies.

It does not know tiers or policies: a Handler answers. The Handler writes its trace before it
returns, so an answer that leaves here is in the ledger.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from stepdown.adapters.gateway.answers import (
    EVENTS,
    JSON,
    TEXT,
    Answer,
    Headers,
    bad_request,
    explained,
    failure,
    safe_value,
    stepdown_failure,
    unknown_model,
)
from stepdown.adapters.gateway.wire import (
    BadBodyError,
    ChatRequest,
    call_from,
    completion_body,
    decode_chat,
    encode,
    model_body,
    safe_id,
    stream_body,
)
from stepdown.core.call import Reply
from stepdown.errors import StepdownError
from stepdown.ports.handler import Handler

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Route = Callable[[Scope, Receive, str], Awaitable[Answer]]

_CHAT = "/v1/chat/completions"
_MODELS = "/v1/models"
_HINT = b"x-stepdown-"
_ABOUT = """\
This is the gateway of Stepdown {version}. It answers chat requests of the OpenAI wire at
POST {chat}: set your client's base URL to http://HOST:PORT/v1 and `model` to a task
(GET {models} lists them). Each answer's x-stepdown-* headers say which tier answered, how sure it
was, what it cost and what is promised; `stepdown explain REQUEST_ID` shows every attempt.
"""
_log = logging.getLogger("stepdown.gateway")


class TooLargeError(Exception):
    """The body is larger than allowed."""


class GoneError(Exception):
    """The caller hung up before the body was complete."""


class GatewayApp:
    """Answer the OpenAI chat wire with a Handler.

    `api_key` is the key that callers must send as `Authorization: Bearer KEY`. Without one, only
    requests addressed to a loopback name and not sent by another site's page are answered, so
    that a web page in the user's browser cannot spend their money. `clock` is the wall clock in
    seconds since 1970.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        api_key: str | None = None,
        max_body_bytes: int = 8 * 1024 * 1024,
        version: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._handler = handler
        self._key = None if api_key is None else f"Bearer {api_key}".encode()
        self._max_body_bytes = max_body_bytes
        self._version = version
        self._clock = clock
        self._routes: Mapping[str, tuple[str, Route]] = {
            "/": ("GET", self._about),
            "/healthz": ("GET", self._health),
            _MODELS: ("GET", self._models),
            _CHAT: ("POST", self._chat),
        }

    @property
    def has_key(self) -> bool:
        """Whether callers must send a key; without one only a loopback address may be served."""
        return self._key is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI event."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["stepdown.headers"] = headers = dict(scope["headers"])
        request_id = safe_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        try:
            answer = await self._answer(scope, receive, request_id)
        except GoneError:
            return
        except Exception:  # noqa: BLE001 the edge: nothing of the inside may leave it
            _log.exception("request %s failed", request_id)
            said = f"the gateway failed; its log has the reason under {request_id}"
            answer = failure(500, said, "server_error", code="internal_error")
        await _send(send, answer, request_id)

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> Answer:
        method, route = self._route(scope["path"])
        if (refused := self._refused(scope, route)) is not None:
            return refused
        if route is None:
            return self._unknown_path(scope["path"])
        if scope["method"] not in (method, "HEAD" if method == "GET" else method):
            return _wrong_method(scope["path"], method)
        try:
            return await route(scope, receive, request_id)
        except StepdownError as error:
            return stepdown_failure(error)

    def _route(self, path: str) -> tuple[str, Route | None]:
        if path.startswith(f"{_MODELS}/"):
            return "GET", self._model
        return self._routes.get(path, ("", None))

    def _refused(self, scope: Scope, route: Route | None) -> Answer | None:
        headers = scope["stepdown.headers"]
        if self._key is None:
            return _refused_from_elsewhere(headers)
        if self._authorized(headers) or route in (self._about, self._health):
            return None
        said = "the API key is missing or wrong: send `Authorization: Bearer KEY`."
        challenge = ((b"www-authenticate", b"Bearer"),)
        kind = "authentication_error"
        return failure(401, said, kind, code="invalid_api_key", headers=challenge)

    def _authorized(self, headers: Mapping[bytes, bytes]) -> bool:
        sent = headers.get(b"authorization", b"")
        return self._key is None or hmac.compare_digest(sent, self._key)

    def _unknown_path(self, path: str) -> Answer:
        said = f"there is nothing at {path[:100]!r}. Known: {', '.join(self._routes)}."
        return failure(404, said, "not_found_error", code="unknown_path")

    async def _about(self, _scope: Scope, _receive: Receive, _id: str) -> Answer:
        text = _ABOUT.format(version=self._version, chat=_CHAT, models=_MODELS)
        return Answer(200, text.encode(), TEXT)

    async def _health(self, scope: Scope, _receive: Receive, _id: str) -> Answer:
        """Say that it is up; the state of the guarantees only to whoever has the key."""
        if not self._authorized(scope["stepdown.headers"]):
            return Answer(200, encode({"status": "ok"}))
        state = {"status": "ok", "version": self._version, "guarantees": self._handler.status()}
        return Answer(200, encode(state))

    async def _models(self, _scope: Scope, _receive: Receive, _id: str) -> Answer:
        data = [model_body(name) for name in self._handler.models()]
        return Answer(200, encode({"object": "list", "data": data}))

    async def _model(self, scope: Scope, _receive: Receive, _id: str) -> Answer:
        name = scope["path"].removeprefix(f"{_MODELS}/")
        if name not in self._handler.models():
            return unknown_model(name, self._handler.models())
        return Answer(200, encode(model_body(name)))

    async def _chat(self, scope: Scope, receive: Receive, request_id: str) -> Answer:
        headers = scope["stepdown.headers"]
        try:
            request = decode_chat(await read_body(headers, receive, self._max_body_bytes))
        except TooLargeError:
            return self._too_large()
        except BadBodyError as error:
            return bad_request(error.message, error.param)
        if request.model not in self._handler.models():
            return unknown_model(request.model, self._handler.models())
        reply = await self._handler.answer(call_from(request, request_id, hints(headers)))
        return self._replied(request, reply, request_id)

    def _too_large(self) -> Answer:
        said = f"the body is larger than {self._max_body_bytes} bytes."
        return failure(413, said, "invalid_request_error", code="body_too_large")

    def _replied(self, request: ChatRequest, reply: Reply, request_id: str) -> Answer:
        headers = explained(reply) + _ignored(request)
        now = int(self._clock())
        if request.stream:
            events = stream_body(reply, request_id, now, usage=request.usage_wanted)
            return Answer(200, events, EVENTS + headers)
        return Answer(200, completion_body(reply, request_id, now), JSON + headers)


def hints(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the caller's `x-stepdown-NAME` headers as metadata: `x-stepdown-message-id: 7`
    becomes `message_id`.
    """
    return {
        name.removeprefix(_HINT).decode("latin-1").replace("-", "_"): value.decode("latin-1")
        for name, value in headers.items()
        if name.startswith(_HINT) and len(name) > len(_HINT)
    }


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """Return the whole body.

    Raises:
        TooLargeError: it says that it is, or proves to be, larger than `limit` bytes.
        GoneError: the caller hung up.
    """
    said = headers.get(b"content-length", b"0")
    if said.isdigit() and int(said) > limit:
        raise TooLargeError
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise GoneError
        body += event.get("body", b"")
        if len(body) > limit:
            raise TooLargeError
        if not event.get("more_body", False):
            return bytes(body)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refused_from_elsewhere(headers: Mapping[bytes, bytes]) -> Answer | None:
    """Refuse what a web page of another site can make a browser send (also by DNS rebinding)."""
    names = [_name_of(b"//" + headers[b"host"])] if b"host" in headers else []
    if b"origin" in headers:
        names.append(_name_of(headers[b"origin"]))
    if all(is_loopback(name) for name in names):
        return None
    said = "without an API key the gateway answers only programs on this machine. Set a key."
    return failure(403, said, "permission_error", code="not_local")


def _name_of(url: bytes) -> str:
    try:
        return urlsplit(url.decode("latin-1")).hostname or ""
    except ValueError:
        return ""


def _ignored(request: ChatRequest) -> Headers:
    names = request.ignored
    return ((b"x-stepdown-ignored", safe_value(", ".join(names))),) if names else ()


def _wrong_method(path: str, method: str) -> Answer:
    said = f"{path[:100]} takes {method} only."
    allow = ((b"allow", method.encode()),)
    kind = "invalid_request_error"
    return failure(405, said, kind, code="method_not_allowed", headers=allow)


async def _send(send: Send, answer: Answer, request_id: str) -> None:
    size = str(len(answer.body)).encode()
    own = ((b"x-request-id", request_id.encode()), (b"content-length", size))
    headers = [*answer.headers, *own]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
