"""What our own code costs a request: the gateway's application, without any socket.

The project of `bench_gateway.py` (policy, price and ledger on, usage parsed); in place of the HTTP
client stands one that answers at once with the body of the mock. Prints the CPU time of the
answering thread a request, the best of some rounds: the HTTP server, the client and the ledger's
filling are not in it.

    python benchmarks/bench_request.py [one|two] [--profile]
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import pstats
import shutil
import sys
import time
from collections.abc import MutableMapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from stepdown.adapters.models.wire import peer
from stepdown.wiring.serving import gateway
from stepdown.wiring.workspace import Workspace
from upstream.built import mock
from upstream.project import request, write_project

ROUNDS, MANY = 7, 3000
Event = MutableMapping[str, Any]


class Instant:
    """An exchange whose whole answer is there at once."""

    status, headers = 200, ()

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body

    async def read(self) -> bytes | None:
        body, self._body = self._body, None
        return body

    def close(self) -> None:
        """There is nothing to give back."""


class InstantPool:
    """Answers with bodies in turn."""

    def __init__(self, bodies: list[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._bodies = bodies
        self._sent = 0

    async def send(self, _request: bytes, _limits: object) -> Instant:
        self._sent += 1
        return Instant(self._bodies[self._sent % len(self._bodies)])

    def close(self) -> None:
        """There is nothing to close."""


async def recorded(port: int, model: str, many: int, *, logprobs: bool) -> list[bytes]:
    """Return answers of the mock."""
    from stepdown.adapters.models.wire.pool import Limits, Origin, Pool

    said = {"model": model, "messages": [{"role": "user", "content": "x"}], "logprobs": logprobs}
    body = json.dumps(said).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
    pool, found = Pool(Origin("127.0.0.1", port, tls=False), most=1, kept_s=60), []
    for _ in range(many):
        answer, pieces = await pool.send(head % (len(body), body), Limits()), []
        while piece := await answer.read():
            pieces.append(piece)
        answer.close()
        found.append(b"".join(pieces))
    pool.close()
    return found


async def answered(app: Any, body: bytes) -> list[Event]:
    """Return what the application sends for one request."""
    sent: list[Event] = []
    headers = [
        (b"host", b"127.0.0.1:8080"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]

    async def receive() -> Event:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: Event) -> None:
        sent.append(event)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": headers,
        "extensions": {"stepdown.hang_up": lambda _call: None},
    }
    await app(scope, receive, send)
    return sent


async def measure(app: Any, body: bytes) -> float:
    """Return the least CPU seconds a request."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(MANY):
            await answered(app, body)
        rounds.append((time.thread_time() - began) / MANY)
    return min(rounds)


async def main(folder: Path, port: int, task: str) -> None:
    loop = asyncio.get_running_loop()
    small = await recorded(port, "words20-unsure20", 100, logprobs=True)
    big = await recorded(port, "mock", 1, logprobs=False)

    async def opened(self: peer.Peer) -> InstantPool:
        if self._pool is None:
            is_small = "words20" in self._tell.where
            self._pool = InstantPool(small if is_small else big, loop)  # type: ignore[assignment]
        return self._pool  # type: ignore[return-value]

    peer.Peer._opened = opened  # type: ignore[method-assign, assignment]
    body = request(task)
    with gateway(Workspace.open(folder), "127.0.0.1") as (app, _desk):
        sent = await answered(app, body)
        assert sent[0]["status"] == 200, sent
        for _ in range(2000):
            await answered(app, body)
        if "--profile" in sys.argv:
            with cProfile.Profile() as seen:
                for _ in range(MANY):
                    await answered(app, body)
            pstats.Stats(seen).sort_stats("tottime").print_stats(60)
        least = await measure(app, body)
    print(f"{task}: {least * 1e6:.0f} us of CPU a request, n={ROUNDS * MANY}")


if __name__ == "__main__":
    place = Path(mkdtemp(prefix="stepdown-bench-"))
    wanted = [name for name in ("one", "two") if name in sys.argv] or ["one", "two"]
    try:
        with mock() as upstream:
            write_project(place, upstream)
            for name in wanted:
                asyncio.run(main(place, upstream, name))
    finally:
        shutil.rmtree(place, ignore_errors=True)
