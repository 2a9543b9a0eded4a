"""One application for every server that is compared: it sends the body on and the answer back.

UPSTREAM_PORT=9001 uvicorn upstream.forwarding:asgi
UPSTREAM_PORT=9001 granian --interface rsgi upstream.forwarding:rsgi
UPSTREAM_PORT=9001 python -m upstream.forwarding PORT      (the server of Stepdown)
"""

from __future__ import annotations

import os
import sys
from typing import Any

from stepdown.adapters.models.wire.pool import Limits, Origin, Pool

PORT = int(os.environ.get("UPSTREAM_PORT", "9001"))
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: mock\r\ncontent-length: "
LIMITS = Limits()
_pools: list[Pool] = []


async def forwarded(body: bytes) -> bytes:
    if not _pools:
        _pools.append(Pool(Origin("127.0.0.1", PORT, tls=False), most=100, kept_s=30))
    answer = await _pools[0].send(b"%b%d\r\n\r\n%b" % (HEAD, len(body), body), LIMITS)
    found = await answer.read()
    while piece := await answer.read():
        found += piece
    return found


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                return
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    answer = await forwarded(body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(answer)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def rsgi(_scope: Any, protocol: Any) -> None:
    answer = await forwarded(await protocol())
    protocol.response_bytes(200, [("content-type", "application/json")], answer)


class _Ours:
    has_key = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await asgi(scope, receive, send)


if __name__ == "__main__":
    from stepdown.adapters.gateway.server import serve

    serve(_Ours(), port=int(sys.argv[1]))
