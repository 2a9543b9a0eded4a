"""One side of the eval benchmark: an asyncio loop that asks, compares and remembers nothing else.

    side_bare.py PORT ROWS.jsonl ANSWERS.jsonl CONCURRENCY aiohttp|stepdown

The answers are appended to a file, one `write()` each. The client is aiohttp, or the one that
Stepdown's wire uses; everything around it is as little as can be.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

Ask = Callable[[bytes], Awaitable[bytes]]


def bodies(rows: Path) -> Iterator[tuple[str, str, bytes]]:
    with rows.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            body = {"model": "mock", "messages": [{"role": "user", "content": row["text"]}]}
            yield row["id"], row["answer"], json.dumps(body).encode()


async def worker(work: Iterator[tuple[str, str, bytes]], ask: Ask, out: int, right: list) -> None:
    for name, wanted, body in work:
        said = json.loads(await ask(body))
        text = said["choices"][0]["message"]["content"]
        right.append(text == wanted)
        line = json.dumps({"id": name, "text": text, "usage": said["usage"]})
        os.write(out, line.encode() + b"\n")


async def all_of(rows: Path, answers: Path, at_once: int, ask: Ask) -> int:
    out = os.open(answers, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    work, right = bodies(rows), list[bool]()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker(work, ask, out, right))
    os.close(out)
    return len(right)


async def with_aiohttp(port: int, rows: Path, answers: Path, at_once: int) -> int:
    import aiohttp

    url, headers = (
        f"http://127.0.0.1:{port}/v1/chat/completions",
        {"Content-Type": "application/json"},
    )
    connector = aiohttp.TCPConnector(limit=at_once)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def ask(body: bytes) -> bytes:
            async with session.post(url, data=body) as answer:
                return await answer.read()

        return await all_of(rows, answers, at_once, ask)


async def with_stepdown(port: int, rows: Path, answers: Path, at_once: int) -> int:
    from stepdown.adapters.models.wire.pool import Limits, Origin, Pool

    pool = Pool(Origin.of(f"http://127.0.0.1:{port}/v1"), most=at_once, kept_s=30.0)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: "

    async def ask(body: bytes) -> bytes:
        answer = await pool.send(b"%b%d\r\n\r\n%b" % (head, len(body), body), Limits(connect_s=5.0))
        pieces = []
        while piece := await answer.read():
            pieces.append(piece)
        answer.close()
        return b"".join(pieces)

    n = await all_of(rows, answers, at_once, ask)
    pool.close()
    return n


def main() -> None:
    port, rows, answers, at_once, client = sys.argv[1:6]
    import uvloop

    run = with_aiohttp if client == "aiohttp" else with_stepdown
    start, cpu = time.perf_counter(), time.process_time()
    n = uvloop.run(run(int(port), Path(rows), Path(answers), int(at_once)))
    found = {
        "n": n,
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
