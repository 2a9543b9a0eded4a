"""The HTTP server itself, spoken to over raw sockets. The application echoes what it received."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepdown.adapters.gateway.server import running
from stepdown.adapters.gateway.server.limits import ServerLimits

MB = 1_000_000
FLOOD = [b"x" * 100_000] * 2000


class Echo:
    """Answers with what it was asked; its path may ask for more."""

    has_key = False

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes]] = []
        self.gone = 0
        self.sent = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/early":
            await self.say(send, b"no thanks", status=413)
            return
        body = b""
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                self.gone += 1
                return
            body += event["body"]
            if not event["more_body"]:
                break
        self.seen.append((scope["method"], path, body))
        await self.answer(path, scope, body, receive, send)

    async def answer(self, path: str, scope: Any, body: bytes, receive: Any, send: Any) -> None:
        if path == "/fail":
            raise RuntimeError("secret inside")
        if path == "/hang":
            await receive()
            self.gone += 1
            return
        if path in ("/stream", "/flood"):
            await self.stream(send, [b"one", b"", b"two"] if path == "/stream" else FLOOD)
            return
        if path.startswith("/slow"):
            await asyncio.sleep(0.2)
        headers = [(b"x", b"a\r\nb: c")] if path == "/inject" else []
        told = {"method": scope["method"], "path": path, "body": body.decode("latin-1")}
        if path == "/headers":
            told["headers"] = [name.decode() for name, _ in scope["headers"]]
        await self.say(send, json.dumps(told).encode(), headers=headers)

    async def stream(self, send: Any, pieces: list[bytes]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in pieces:
            self.sent += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def say(self, send: Any, body: bytes, *, status: int = 200, headers: Any = ()) -> None:
        own = [(b"content-length", str(len(body)).encode()), *headers]
        await send({"type": "http.response.start", "status": status, "headers": own})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def door(echo: Echo) -> Iterator[tuple[str, int]]:
    with served(echo) as door:
        yield door


@contextmanager
def served(echo: Echo, **limits: Any) -> Iterator[tuple[str, int]]:
    with running(echo, limits=ServerLimits(**limits), grace_s=1) as url:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        yield parts.hostname, parts.port


def said(door: tuple[str, int], *pieces: bytes, pause_s: float = 0.0, wait_s: float = 5) -> bytes:
    """Send the pieces; return everything that comes until the server closes or is silent."""
    with closing(socket.create_connection(door, timeout=wait_s)) as line:
        for piece in pieces:
            line.sendall(piece)
            time.sleep(pause_s)
        return rest(line)


def rest(line: socket.socket) -> bytes:
    found = b""
    try:
        while piece := line.recv(65536):
            found += piece
    except TimeoutError:
        found += b"<open>"
    except ConnectionResetError:
        found += b"<reset>"
    return found


def post(path: str, body: bytes, *headers: str, close: bool = True) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    lines += ["Connection: close"] if close else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def test_a_request_may_come_in_any_pieces(door: tuple[str, int], echo: Echo) -> None:
    whole = post("/a%20b?c=d", b"hello")
    for size in (1, 7, 1000):
        found = said(door, *[whole[i : i + size] for i in range(0, len(whole), size)])
        assert found.startswith(b"HTTP/1.1 200 OK\r\n")
    assert echo.seen == [("POST", "/a b", b"hello")] * 3


def test_a_chunked_body_is_read(door: tuple[str, int], echo: Echo) -> None:
    head = b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    found = said(door, head, b"2\r\nhe\r\n3;ext=1\r\nllo\r\n", b"0\r\nX-Trailer: 1\r\n\r\n")
    assert b" 200 " in found
    assert echo.seen == [("POST", "/x", b"hello")]


def test_a_trailer_is_no_header(door: tuple[str, int], echo: Echo) -> None:
    head = b"POST /headers HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
    body = b"Connection: close\r\n\r\n3\r\nabc\r\n0\r\nX-Stepdown-Boundary: vendor\r\n\r\n"
    _, _, told = said(door, head + body).partition(b"\r\n\r\n")
    assert json.loads(told)["headers"] == ["host", "transfer-encoding", "connection"]


@pytest.mark.parametrize("start", [b"3;a=", b"3\r\nabc\r\n0\r\nX: "])
def test_what_stands_around_a_body_has_an_end(start: bytes, echo: Echo) -> None:
    head = b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    with served(echo) as door:
        answer = said(door, head + start, *[b"a" * 60_000] * 20)
    assert b" 431 " in answer.partition(b"\r\n")[0]
    assert not echo.seen


def test_requests_in_a_row_are_answered_in_their_order(door: tuple[str, int]) -> None:
    row = [post(f"/slow{i}", b"", close=i == 3) for i in range(4)]
    found = said(door, b"".join(row))
    assert [found.find(f"/slow{i}".encode()) for i in range(4)] == sorted(
        found.find(f"/slow{i}".encode()) for i in range(4)
    )
    assert found.count(b"HTTP/1.1 200 OK") == 4


def test_too_many_requests_in_a_row_end_the_connection_after_those_before(
    door: tuple[str, int],
) -> None:
    found = said(door, post("/slow", b"", close=False) * 40)
    assert 1 <= found.count(b"HTTP/1.1 200 OK") <= 17
    assert not found.endswith(b"<open>")


def test_a_streamed_answer_is_chunked_and_for_an_old_caller_ends_with_the_connection(
    door: tuple[str, int],
) -> None:
    found = said(door, post("/stream", b""))
    assert found.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    old = said(door, b"POST /stream HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
    assert old.endswith(b"\r\n\r\nonetwo")
    assert b"chunked" not in old


def test_head_gets_the_headers_only(door: tuple[str, int]) -> None:
    found = said(door, b"HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"content-length: " in found
    assert found.endswith(b"\r\n\r\n")


def test_a_caller_that_asks_is_told_to_go_on(door: tuple[str, int]) -> None:
    head, body = post("/x", b"hello", "Expect: 100-continue").split(b"\r\n\r\n")
    with closing(socket.create_connection(door, timeout=5)) as line:
        line.sendall(head + b"\r\n\r\n")
        assert line.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(body)
        assert b" 200 " in rest(line)


@pytest.mark.parametrize(
    "headers",
    [
        ("Expect: 200-ok",),
        ("Expect:",),
        ("Expect: 100-continue, x",),
        ("Expect: x", "Expect: 100-continue"),
    ],
)
def test_an_expectation_that_cannot_be_met_is_417(
    door: tuple[str, int], echo: Echo, headers: tuple[str, ...]
) -> None:
    found = said(door, post("/x", b"hello", *headers))
    assert found.startswith(b"HTTP/1.1 417 Expectation Failed\r\n")
    assert b"100-continue" in found
    assert echo.seen == []


def test_an_expectation_of_http_1_0_is_ignored(door: tuple[str, int]) -> None:
    head = b"POST /x HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    found = said(door, head, b"hello", pause_s=0.1)
    assert b" 200 " in found.split(b"\r\n")[0]
    assert b"100 Continue" not in found


def test_a_body_that_is_refused_is_not_asked_for(door: tuple[str, int]) -> None:
    with closing(socket.create_connection(door, timeout=5)) as line:
        line.sendall(post("/early", b"", "Expect: 100-continue").replace(b": 0", b": 999"))
        found = rest(line)
    assert found.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in found


def test_a_caller_who_sends_on_sees_the_refusal_and_no_reset(door: tuple[str, int]) -> None:
    head = post("/early", b"").replace(b"Content-Length: 0", b"Content-Length: 100000000")
    with closing(socket.create_connection(door, timeout=20)) as line:
        line.sendall(head)
        for _ in range(100):
            line.sendall(b"x" * MB)
        found = rest(line)
    assert found.startswith(b"HTTP/1.1 413 ")
    assert found.endswith(b"no thanks")


def test_an_upgrade_is_answered_as_if_it_was_not_asked(door: tuple[str, int], echo: Echo) -> None:
    wish = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ")
    asked = post("/x", b"hello", *wish, close=False)
    get = b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    found = said(door, asked, asked[:150], asked[150:], get, post("/y", b"", *wish[1:]))
    assert found.count(b"HTTP/1.1 200 OK") == 4
    hello = ("POST", "/x", b"hello")
    assert echo.seen == [hello, hello, ("GET", "/ws", b""), ("POST", "/y", b"")]


GET = b"GET / HTTP/1.1\r\nHost: h\r\n"
POST, TE = b"POST / HTTP/1.1\r\nHost: h\r\n", b"Transfer-Encoding: "
AMBIGUOUS = [
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + TE + b"chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    POST + b"Content-Length: 5, 5\r\n\r\nhello",
    POST + b"Content-Length: +5\r\n\r\nhello",
    POST + b"Content-Length: 0x5\r\n\r\nhello",
    POST + b"Content-Length: 5 5\r\n\r\nhello",
    POST + b"Content-Length : 5\r\n\r\nhello",
    POST + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    POST + TE + b"xchunked\r\n\r\n0\r\n\r\n",
    POST + TE + b"chunked, identity\r\n\r\n0\r\n\r\n",
    POST + TE + b"gzip, chunked\r\n\r\n0\r\n\r\n",
    POST + TE + b"chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + TE + b"chunked\r\n\r\n-1\r\n\r\n",
    POST + TE + b"chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    POST + TE + b"chunked\r\n\r\n5\nhello\n0\n\n",
    POST + TE + b"chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nHost: other\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\nHost: h\n\n",
    b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n folded: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
    b"GET / HTTP/1.1\r\n Host: h\r\n\r\n",
    b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    GET + b"X: " + b"a" * 40_000 + b"\r\n\r\n",
    GET + b"".join(b"X-%d: a\r\n" % i for i in range(200)) + b"\r\n",
    b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    GET + b"X: " + b"a" * 2_000_000,
]


@pytest.mark.parametrize("request_", AMBIGUOUS, ids=range(len(AMBIGUOUS)))
def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_closed(
    door: tuple[str, int], echo: Echo, request_: bytes
) -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    try:
        found = said(door, request_ + smuggled)
    except (ConnectionResetError, BrokenPipeError):  # it stopped reading 2 MB of a header
        found = b"HTTP/1.1 431 "
    assert found[:9] == b"HTTP/1.1 "
    assert int(found[9:12]) in (400, 405, 408, 431, 501, 505)
    assert found.count(b"HTTP/1.1 4") + found.count(b"HTTP/1.1 5") == 1
    assert b"HTTP/1.1 2" not in found
    assert not found.endswith(b"<open>")
    assert all(path != "/smuggled" for _, path, _ in echo.seen)


def test_a_slow_head_is_told_and_closed_and_a_silent_caller_just_closed(echo: Echo) -> None:
    with served(echo, head_s=0.5, idle_s=0.5) as door:
        assert said(door, b"GET / HT").startswith(b"HTTP/1.1 408 ")
        assert said(door) == b""
        assert said(door, GET + b"\r\n").count(b"HTTP/1.1 200 OK") == 1


def test_a_head_that_drips_does_not_last_longer(echo: Echo) -> None:
    with served(echo, head_s=1.0) as door, closing(socket.create_connection(door, 5)) as line:
        line.sendall(GET)
        start = time.monotonic()
        with suppress(ConnectionResetError, BrokenPipeError):
            while time.monotonic() - start < 20:
                line.sendall(b"X: 1\r\n")
                time.sleep(0.05)
        assert time.monotonic() - start < 10


def test_a_body_that_does_not_come_ends_the_connection(echo: Echo) -> None:
    with served(echo, body_s=0.5) as door:
        found = said(door, post("/x", b"hello").replace(b": 5", b": 50"))
    assert found in (b"", b"<reset>")
    assert echo.gone == 1


def test_a_slow_reader_holds_the_application_back_and_is_dropped_in_the_end(echo: Echo) -> None:
    with (
        served(echo, stalled_s=1.0) as door,
        closing(socket.create_connection(door, timeout=20)) as line,
    ):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        line.sendall(post("/flood", b""))
        time.sleep(0.5)
        held = echo.sent
        assert held < 30 * MB  # in the buffers of the system, not in ours
        time.sleep(4.0)
        assert len(rest(line)) < 30 * MB  # it is gone


def test_a_reader_that_takes_its_time_gets_everything(echo: Echo) -> None:
    with (
        served(echo, stalled_s=2.0) as door,
        closing(socket.create_connection(door, timeout=20)) as line,
    ):
        line.sendall(post("/flood", b""))
        total = 0
        while piece := line.recv(4 * MB):
            total += len(piece)
            if total < 20 * MB:
                time.sleep(0.02)
        assert total > 200 * MB


def test_an_application_is_told_that_its_caller_is_gone(door: tuple[str, int], echo: Echo) -> None:
    line = socket.create_connection(door, timeout=5)
    line.sendall(post("/hang", b""))
    time.sleep(0.1)
    line.close()
    time.sleep(0.2)
    assert echo.gone == 1


def test_an_application_that_fails_says_nothing_of_its_inside(door: tuple[str, int]) -> None:
    found = said(door, post("/fail", b""))
    assert found.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in found


def test_a_header_with_a_line_break_never_leaves(door: tuple[str, int]) -> None:
    found = said(door, post("/inject", b""))
    assert found.startswith(b"HTTP/1.1 500 ")
    assert b"b: c" not in found


def test_more_connections_than_allowed_are_told_to_come_again(echo: Echo) -> None:
    with served(echo, connections=2) as door:
        kept = [socket.create_connection(door) for _ in range(2)]
        time.sleep(0.05)
        found = said(door)
        assert found.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in found
        for line in kept:
            line.sendall(post("/x", b""))
            assert b" 200 " in rest(line)
            line.close()


def test_small_pieces_leave_at_once(door: tuple[str, int]) -> None:
    """Without TCP_NODELAY a burst of pieces waits 40 ms for an acknowledgement."""
    with closing(socket.create_connection(door)) as line:
        taken = []
        for _ in range(20):
            start = time.perf_counter()
            line.sendall(post("/stream", b"", close=False))
            found = b""
            while not found.endswith(b"0\r\n\r\n"):
                found += line.recv(65536)
            taken.append(time.perf_counter() - start)
    assert sorted(taken)[10] < 0.035


SERVER = """
import sys
sys.path.insert(0, sys.argv[1])
from stepdown.adapters.gateway import serve
from test_http import Echo
serve(Echo(), port=0, on_ready=lambda url: print(url, flush=True))
"""


@pytest.mark.slow
def test_ten_thousand_idle_connections_do_not_keep_a_request_waiting() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 10_500, "this machine does not allow so many open files"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    command = [sys.executable, "-c", SERVER, str(Path(__file__).parent)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines: list[socket.socket] = []
    try:
        assert process.stdout is not None
        parts = urlsplit(process.stdout.readline().strip())
        door = (parts.hostname or "", parts.port or 0)
        for _ in range(10_000):
            lines.append(socket.create_connection(door))  # noqa: PERF401 closed if one fails
        for line in lines[::100]:
            line.sendall(post("/x", b"hello"))
            assert b" 200 " in rest(line)
        assert said(door, post("/x", b"hello")).startswith(b"HTTP/1.1 200")
    finally:
        for line in lines:
            line.close()
        process.terminate()
        process.communicate(timeout=20)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Differential: what h11, a strict parser of others, reads, is what our application sees.

_NAMES = st.sampled_from(
    ["Host", "Content-Length", "Transfer-Encoding", "X", "Connection", "Expect", "content-length"]
)
_VALUES = st.sampled_from(
    ["h", "5", "0", "chunked", "05", " 5", "5 ", "identity", "close", "a", "", "5, 5", "\tchunked"]
)
_BODIES = st.sampled_from(
    [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"hello" + GET + b"\r\n", b"5\r\nhel"]
)
_BREAKS = st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r\n ", "\r"])


@st.composite
def requests(draw: Any) -> bytes:
    method = draw(st.sampled_from(["GET", "POST", "PUT", "get", "P OST"]))
    version = draw(st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/11"]))
    target = draw(st.sampled_from(["/", "/a?b=c", "http://h/x", "*", "/a%2Fb", "/a#b"]))
    lines = [f"{method} {target} {version}", "Host: h"]
    lines += [f"{draw(_NAMES)}:{draw(_VALUES)}" for _ in range(draw(st.integers(0, 3)))]
    head = "".join(line + draw(_BREAKS) for line in lines)
    return (head + "\r\n").encode() + draw(_BODIES)


def read_by_h11(data: bytes) -> tuple[str, bytes] | None:
    """The first request as h11 reads it, None when it refuses it or waits for more."""
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(data)
    peer.receive_data(b"")
    body = b""
    try:
        first = peer.next_event()
        if not isinstance(first, h11.Request):
            return None
        while not isinstance(event := peer.next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                return None
            body += bytes(event.data)
    except h11.RemoteProtocolError:
        return None
    return first.method.decode(), body


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=requests())
def test_no_request_is_read_otherwise_than_a_second_parser_reads_it(
    door: tuple[str, int], echo: Echo, data: bytes
) -> None:
    echo.seen.clear()
    with closing(socket.create_connection(door, timeout=5)) as line:
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)
        rest(line)
    if echo.seen:
        method, _, body = echo.seen[0]
        assert (method, body) == read_by_h11(data)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=400))
def test_no_bytes_at_all_make_the_server_fail(
    door: tuple[str, int], echo: Echo, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    said(door, data + b"\r\n\r\n", b"\r\n", wait_s=0.01)
    assert said(door, post("/x", b"hello")).startswith(b"HTTP/1.1 200")
    assert not caplog.records
