"""The HTTP client of the hosted tiers against a peer of raw sockets."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from stepdown.adapters.models.wire.connection import HEAD_LIMIT_BYTES
from stepdown.adapters.models.wire.exchange import (
    PIECE_BYTES,
    BrokenError,
    Exchange,
    GarbledError,
    LateError,
)
from stepdown.adapters.models.wire.pool import Limits, Origin, Pool

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: 5\r\n\r\nhello"
ASK = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
NONE = Limits(connect_s=5.0)

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Talk = Callable[[Reader, Writer], Awaitable[None]]


class Peer:
    """Counts connections; each is handled by `talk`."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.opened = 0
        self.ended = 0

    async def handle(self, reader: Reader, writer: Writer) -> None:
        self.opened += 1
        try:
            await self.talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended += 1
            writer.close()


@asynccontextmanager
async def peer(
    talk: Talk, *, most: int = 8, kept_s: float = 30.0
) -> AsyncIterator[tuple[Peer, Pool]]:
    made = Peer(talk)
    server = await asyncio.start_server(made.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = Pool(Origin("127.0.0.1", port, tls=False), most=most, kept_s=kept_s)
    try:
        yield made, pool
    finally:
        pool.close()
        server.close()
        await asyncio.sleep(0.01)


def saying(*answers: bytes, piece: int | None = None) -> Talk:
    """Answer each request of a connection with the next of `answers`, then close."""

    async def talk(reader: Reader, writer: Writer) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            size = piece or len(answer) or 1
            for start in range(0, len(answer), size):
                writer.write(answer[start : start + size])
                await writer.drain()
                await asyncio.sleep(0)

    return talk


async def whole(answer: Exchange) -> bytes:
    found = b""
    while piece := await answer.read():
        found += piece
    return found


async def asked(pool: Pool, limits: Limits = NONE) -> bytes:
    return await whole(await pool.send(ASK, limits))


@pytest.mark.parametrize("piece", [None, 1, 3, 7])
@pytest.mark.parametrize(
    "answer",
    [
        WHOLE,
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + WHOLE,
        b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
    ],
)
async def test_an_answer_may_come_in_any_pieces_and_its_connection_serves_the_next_call(
    answer: bytes, piece: int | None
) -> None:
    async with peer(saying(answer, answer, answer, piece=piece)) as (made, pool):
        assert [await asked(pool) for _ in range(3)] == [b"hello"] * 3
        assert made.opened == 1


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async with peer(saying(OK + b"\r\nhello", piece=2)) as (made, pool):
        assert [await asked(pool) for _ in range(2)] == [b"hello"] * 2
        assert made.opened == 2


async def test_an_empty_answer_frees_its_connection() -> None:
    empty = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with peer(saying(empty, WHOLE)) as (made, pool):
        assert [await asked(pool) for _ in range(2)] == [b"", b"hello"]
        assert made.opened == 1


async def test_a_server_that_says_close_gets_a_new_connection() -> None:
    closing = OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello"
    async with peer(saying(closing, closing)) as (made, pool):
        assert [await asked(pool) for _ in range(3)] == [b"hello"] * 3
        assert made.opened == 3


async def test_a_kept_connection_that_the_server_dropped_costs_no_call() -> None:
    async with peer(saying(WHOLE, b"")) as (made, pool):
        assert await asked(pool) == b"hello"
        # The peer reads the second request and closes without a word; a new connection answers.
        assert await asked(pool) == b"hello"
        assert made.opened == 2


async def test_a_new_connection_that_breaks_is_not_tried_again() -> None:
    async with peer(saying(b"")) as (made, pool):
        with pytest.raises(BrokenError) as caught:
            await asked(pool)
        assert not caught.value.answering
        assert made.opened == 1


async def test_an_answer_that_began_is_never_asked_for_again() -> None:
    async with peer(saying(WHOLE, WHOLE[:20])) as (made, pool):
        await asked(pool)
        with pytest.raises(BrokenError) as caught:
            await asked(pool)
        assert caught.value.answering
        assert made.opened == 1


@pytest.mark.parametrize(
    "cut",
    [
        OK + b"Content-Length: 6\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
async def test_a_body_that_is_cut_is_an_error_after_what_came(cut: bytes) -> None:
    async with peer(saying(cut)) as (_, pool):
        answer = await pool.send(ASK, NONE)
        assert await answer.read() == b"hello"
        with pytest.raises(BrokenError):
            await answer.read()


@pytest.mark.parametrize(
    "garbage",
    [
        b"NONSENSE\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Content-Encoding: br\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"Content-Length: -1\r\n\r\nhello",
        OK + b"".join(b"X-%d: 1\r\n" % i for i in range(300)) + b"\r\n",
        OK + b"X: " + b"y" * (2 * HEAD_LIMIT_BYTES),
    ],
)
async def test_what_is_not_proper_http_is_refused_and_its_connection_dropped(
    garbage: bytes,
) -> None:
    async with peer(saying(garbage, WHOLE)) as (made, pool):
        for number in (1, 2):
            with pytest.raises(GarbledError):
                await asked(pool)
            assert made.opened == number


async def test_a_bad_chunk_ends_the_body_with_an_error() -> None:
    bad = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"
    async with peer(saying(bad, piece=40)) as (_, pool):
        with pytest.raises(GarbledError):
            await asked(pool)


async def test_an_answer_after_the_answer_is_not_taken_for_the_next_one() -> None:
    smuggled = WHOLE + OK + b"Content-Length: 4\r\n\r\nevil"
    async with peer(saying(smuggled)) as (made, pool):
        with pytest.raises(GarbledError):
            await asked(pool)
        made.talk = saying(WHOLE)
        assert await asked(pool) == b"hello"
        assert made.opened == 2


async def test_bytes_that_nobody_asked_for_drop_an_idle_connection() -> None:
    async def talk(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(WHOLE)
        await asyncio.sleep(0.02)
        writer.write(OK + b"Content-Length: 4\r\n\r\nevil")
        await reader.readuntil(b"\r\n\r\n")

    async with peer(talk) as (made, pool):
        assert await asked(pool) == b"hello"
        await asyncio.sleep(0.05)
        assert await asked(pool) == b"hello"
        assert made.opened == 2


async def test_an_unused_connection_is_dropped_after_its_time() -> None:
    async with peer(saying(WHOLE, WHOLE), kept_s=0.05) as (made, pool):
        await asked(pool)
        await asyncio.sleep(0.15)
        assert made.ended == 1
        await asked(pool)
        assert made.opened == 2


async def test_no_more_connections_are_opened_than_allowed_and_nobody_is_forgotten() -> None:
    busy = 0
    most_busy = 0

    async def talk(reader: Reader, writer: Writer) -> None:
        nonlocal busy, most_busy
        while True:
            await reader.readuntil(b"\r\n\r\n")
            busy += 1
            most_busy = max(most_busy, busy)
            await asyncio.sleep(0.001)
            busy -= 1
            writer.write(WHOLE)

    async with peer(talk, most=3) as (_, pool):
        calls = [asyncio.create_task(asked(pool)) for _ in range(60)]
        await asyncio.sleep(0)
        for call in calls[5:40:3]:
            call.cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        answered = [d for d in done if not isinstance(d, asyncio.CancelledError)]
        assert answered == [b"hello"] * 48
        assert most_busy <= 3
        assert await asked(pool) == b"hello"
        assert pool.waiting == 0


async def test_a_cancelled_call_closes_its_connection_and_lets_the_next_one_in() -> None:
    async def silent(reader: Reader, writer: Writer) -> None:
        await reader.read()  # until the caller hangs up

    async with peer(silent, most=1) as (made, pool):
        call = asyncio.create_task(asked(pool))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.sleep(0.02)
        assert made.ended == 1
        made.talk = saying(WHOLE)
        assert await asked(pool) == b"hello"


async def test_a_reader_that_leaves_closes_the_connection() -> None:
    async def endless(reader: Reader, writer: Writer) -> None:
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"5\r\nhello\r\n")
            await writer.drain()
            await asyncio.sleep(0.001)

    async with peer(endless) as (made, pool):
        answer = await pool.send(ASK, NONE)
        await answer.read()
        answer.close()
        await asyncio.sleep(0.05)
        assert made.ended == 1


async def test_a_slow_reader_holds_the_server_back() -> None:
    sent = 0

    async def flood(reader: Reader, writer: Writer) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 100000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 100_000)
            sent += 100_000
            await writer.drain()

    async with peer(flood) as (_, pool):
        answer = await pool.send(ASK, NONE)
        await asyncio.sleep(0.3)
        assert sent < 30_000_000  # socket buffers, not memory
        total = len(await answer.read())
        assert total <= PIECE_BYTES + 1_000_000
        while piece := await answer.read():
            total += len(piece)
        assert total == 100_000_000


async def test_every_wait_has_its_own_limit() -> None:
    async def slow(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.15)
        writer.write(OK + b"Content-Length: 10\r\n\r\nhello")
        await asyncio.sleep(1)

    async with peer(slow) as (made, pool):
        with pytest.raises(LateError) as caught:
            await asked(pool, Limits(first_byte_s=0.05, idle_s=5))
        assert caught.value.stage == "first_byte"
        answer = await pool.send(ASK, Limits(first_byte_s=5, idle_s=0.1))
        assert await answer.read() == b"hello"
        started = time.perf_counter()
        with pytest.raises(LateError) as caught:
            await answer.read()
        assert caught.value.stage == "idle"
        assert time.perf_counter() - started < 0.9
        assert made.opened == 2


async def test_packed_bodies_are_unpacked_in_bounded_pieces() -> None:
    packed = gzip.compress(b"x" * 5_000_000)
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with peer(saying(head + packed, head + packed)) as (_, pool):
        assert len(await asked(pool)) == 5_000_000
        answer = await pool.send(ASK, NONE)
        assert len(await answer.read()) <= PIECE_BYTES


async def test_a_packed_body_that_is_cut_is_an_error() -> None:
    packed = gzip.compress(b"hello" * 100)[:-12]
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with peer(saying(head + packed)) as (_, pool):
        with pytest.raises(BrokenError):
            await asked(pool)


async def test_a_host_name_that_is_not_there_is_an_os_error() -> None:
    pool = Pool(Origin("no-such-host.invalid", 80, tls=False), most=1, kept_s=1)
    for _ in range(2):  # a failed connection gives its place back
        with pytest.raises(OSError):
            await pool.send(ASK, NONE)


def test_the_server_s_fast_loop_carries_it_as_well() -> None:
    import uvloop

    async def both_ways() -> list[bytes]:
        bodies = [WHOLE, OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
        async with peer(saying(*bodies, b"")) as (made, pool):
            found = [await asked(pool) for _ in range(3)]
            assert made.opened == 2
            return found

    assert uvloop.run(both_ways()) == [b"hello"] * 3
