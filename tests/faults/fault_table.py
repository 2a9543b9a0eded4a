"""The faults of a peer and what must come of each: the one table behind the tests and the page.

`docs/faults.md` is made from it: `python tests/faults/fault_table.py > docs/faults.md`.
"""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from fault_peer import Line, answer, chunks, event, refusal
from msgspec import Struct

FIRST_BYTE_S, IDLE_S, TIMEOUT_S = 0.6, 0.6, 2.5
SLOW_S = 0.2  # late, but in time

FINE = "200"
CUT = "200, then an error event"
FREE, UNKNOWN, KNOWN = "0", "unknown", "known"


class Fault(Struct, frozen=True, kw_only=True):
    """One fault. What the client sees: a status with the error's code, or pieces and their end.

    `ledger` is the failure of the attempt in the ledger, "" where it was answered. `cost` is what
    the attempt cost: 0, unknown, or known from the usage. `tries` counts requests at the peer.
    `next_tier` is whether another tier of the task answers in its place, `stream_*` where a stream
    differs. `at` says which address is faulty.
    """

    name: str
    says: str
    act: Callable[[Line], None] = Line.fine
    at: str = "peer"
    whole: str
    stream: str
    ledger: str
    stream_ledger: str | None = None
    cost: str
    stream_cost: str | None = None
    tries: int = 1
    stream_tries: int | None = None
    retry_after: str | None = None


def stall(line: Line) -> None:
    line.until_gone()


def slow(line: Line) -> None:
    time.sleep(SLOW_S)
    line.fine()


def close(line: Line) -> None:
    line.sock.close()


def not_http(line: Line) -> None:
    line.send(b"SSH-2.0-OpenSSH_9.2\r\n")
    line.sock.close()


def cut(line: Line) -> None:
    if line.stream:
        line.begin_stream()
        line.chunk(chunks()[0])
    else:
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + answer()[:60])
    line.sock.close()


def stand_still(line: Line) -> None:
    if line.stream:
        line.begin_stream()
        line.chunk(chunks()[0])
    else:
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + answer()[:60])
    line.until_gone()


def trickle(line: Line) -> None:
    """A byte at a time, never silent for long, and never done."""
    line.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    with suppress(OSError):
        for byte in (b": waiting\n" * 400)[:]:
            line.send(bytes([byte]))
            time.sleep(0.02)


def bytewise(line: Line) -> None:
    """A byte at a time, and done in good time."""
    body = b"".join(chunks()) + b"data: [DONE]\n\n" if line.stream else answer()
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body:
        line.send(bytes([byte]))


def bad_chunk(line: Line) -> None:
    line.begin_stream()
    if line.stream:
        line.chunk(chunks()[0])
    line.send(b"zz\r\nwhat?\r\n")
    line.until_gone(1.0)


def page(line: Line) -> None:
    line.status("200 OK", b"<html>Please log in</html>", Content_Type="text/html")


def error_inside(line: Line) -> None:
    said = refusal("The engine is overloaded", type="overloaded_error")
    if not line.stream:
        line.status("200 OK", said)
        return
    line.begin_stream()
    line.chunk(b"data: " + said + b"\n\n")
    line.send(b"0\r\n\r\n")


def error_midway(line: Line) -> None:
    if not line.stream:
        line.status("200 OK", refusal("The engine failed"))
        return
    line.begin_stream()
    line.chunk(chunks()[0])
    line.chunk(b"data: " + refusal("The engine failed") + b"\n\n")
    line.send(b"0\r\n\r\n")


def refuses(status: str, **headers: str) -> Callable[[Line], None]:
    def act(line: Line) -> None:
        line.status(status, refusal("Not now"), **headers)

    return act


def once(first: Callable[[Line], None]) -> Callable[[Line], None]:
    def act(line: Line) -> None:
        (first if line.nth == 1 else Line.fine)(line)

    return act


def repeats_the_key(line: Line) -> None:
    """Some servers quote what they were sent."""
    line.status("401 Unauthorized", refusal(f"I do not know {line.head}"))


def bad_request(line: Line) -> None:
    line.status("400 Bad Request", refusal("messages: too many", type="invalid_request_error"))


def short_length(line: Line) -> None:
    """A length that ends in the middle of the body."""
    body = b"".join(chunks()) if line.stream else answer()
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + body)
    line.sock.close()


def long_length(line: Line) -> None:
    """A length that never comes."""
    body = b"".join(chunks()[:1]) if line.stream else answer()
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + body)
    line.sock.close()


def huge_headers(line: Line) -> None:
    with suppress(OSError):
        line.send(b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 2_000_000 + b"\r\n\r\n")
        line.fine()


def redirect(line: Line) -> None:
    line.status("302 Found", Location="http://127.0.0.1:9/elsewhere")


def zipped(line: Line) -> None:
    body = b"".join([*chunks(), b"data: [DONE]\n\n"]) if line.stream else answer()
    line.status("200 OK", gzip.compress(body), Content_Encoding="gzip")


def no_usage(line: Line) -> None:
    if not line.stream:
        line.status("200 OK", answer(usage=None))
        return
    line.begin_stream()
    for piece in [*chunks(usage=False), b"data: [DONE]\n\n"]:
        line.chunk(piece)
    line.send(b"0\r\n\r\n")


def no_end(line: Line) -> None:
    """A stream that just stops, without its last event, and a body without its ending."""
    if not line.stream:
        choice = {"index": 0, "message": {"role": "assistant", "content": "fi"}}
        line.status("200 OK", answer(choices=[{**choice, "finish_reason": None}]))
        return
    line.begin_stream()
    line.chunk(event({"role": "assistant", "content": "fi"}))
    line.send(b"0\r\n\r\n")


def nothing_said(line: Line) -> None:
    if not line.stream:
        line.status("200 OK", answer(choices=[]))
        return
    line.begin_stream()
    line.chunk(b"data: [DONE]\n\n")
    line.send(b"0\r\n\r\n")


ERROR = "502 provider_error"
LATE = "504 deadline"
FULL = "429 overloaded"

FAULTS = (
    Fault(
        name="refused", says="nobody listens at the address", at="refused",
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=FREE, tries=0,
    ),
    Fault(
        name="unknown host", says="the name of the host cannot be resolved", at="lost",
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=FREE, tries=0,
    ),
    Fault(
        name="TLS", says="a certificate that nobody vouches for", at="tls",
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=FREE, tries=0,
    ),
    Fault(
        name="reset", says="the connection is reset after the request was sent", act=Line.reset,
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=UNKNOWN, tries=2,
    ),
    Fault(
        name="closed", says="the connection is closed without an answer", act=close,
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=UNKNOWN, tries=2,
    ),
    Fault(
        name="not HTTP", says="something else than HTTP answers", act=not_http,
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=UNKNOWN,
    ),
    Fault(
        name="cut", says="the connection ends in the middle of the answer", act=cut,
        whole=ERROR, stream=CUT, ledger="provider_error", cost=UNKNOWN,
    ),
    Fault(
        name="silent", says="connected, and never a byte of an answer", act=stall,
        whole=LATE, stream=LATE, ledger="deadline", cost=UNKNOWN,
    ),
    Fault(
        name="slow first byte", says="the answer begins late, but in time", act=slow,
        whole=FINE, stream=FINE, ledger="", cost=KNOWN,
    ),
    Fault(
        name="stands still", says="the answer begins and then nothing more comes", act=stand_still,
        whole=LATE, stream=CUT, ledger="deadline", cost=UNKNOWN,
    ),
    Fault(
        name="trickles", says="a byte at a time, for longer than the call may take", act=trickle,
        whole=LATE, stream=LATE, ledger="deadline", cost=UNKNOWN,
    ),
    Fault(
        name="bytewise", says="a byte at a time, done in time", act=bytewise,
        whole=FINE, stream=FINE, ledger="", cost=KNOWN,
    ),
    Fault(
        name="malformed chunk", says="a chunk whose length is no number", act=bad_chunk,
        whole=ERROR, stream=CUT, ledger="provider_error", cost=UNKNOWN,
    ),
    Fault(
        name="a web page", says="status 200 with a page for people", act=page,
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=UNKNOWN,
    ),
    Fault(
        name="error in a success", says="status 200, and the body reports that it is overloaded",
        act=error_inside, whole=FULL, stream=FULL, ledger="overloaded", cost=UNKNOWN,
        retry_after="1",
    ),
    Fault(
        name="error midway", says="status 200, and a later event reports an error",
        act=error_midway, whole=ERROR, stream=CUT, ledger="provider_error", cost=UNKNOWN,
    ),
    Fault(
        name="429", says="too many requests, without saying how long", act=refuses("429 Too Many"),
        whole=FULL, stream=FULL, ledger="overloaded", cost=FREE, tries=2, retry_after="1",
    ),
    Fault(
        name="429, long Retry-After", says="too many requests, come back in a minute",
        act=refuses("429 Too Many", Retry_After="60"),
        whole=FULL, stream=FULL, ledger="overloaded", cost=FREE, retry_after="60",
    ),
    Fault(
        name="429 once", says="too many requests, come back in 50 ms; then it answers",
        act=once(refuses("429 Too Many", Retry_After_Ms="50")),
        whole=FINE, stream=FINE, ledger="", cost=KNOWN, tries=2,
    ),
    Fault(
        name="500", says="an error of the server", act=refuses("500 Internal"),
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=UNKNOWN, tries=2,
    ),
    Fault(
        name="500 once", says="an error of the server; then it answers",
        act=once(refuses("500 Internal")),
        whole=FINE, stream=FINE, ledger="", cost=UNKNOWN, tries=2,
    ),
    Fault(
        name="502", says="a gateway before the server fails", act=refuses("502 Bad Gateway"),
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=UNKNOWN, tries=2,
    ),
    Fault(
        name="503", says="the server is full", act=refuses("503 Unavailable"),
        whole=FULL, stream=FULL, ledger="overloaded", cost=FREE, tries=2, retry_after="1",
    ),
    Fault(
        name="529", says="Anthropic's word for overloaded", act=refuses("529 Overloaded"),
        whole=FULL, stream=FULL, ledger="overloaded", cost=FREE, tries=2, retry_after="1",
    ),
    Fault(
        name="400", says="the request is wrong", act=bad_request,
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=FREE,
    ),
    Fault(
        name="401", says="the key is wrong, and the server quotes it", act=repeats_the_key,
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=FREE,
    ),
    Fault(
        name="404", says="there is no such model", act=refuses("404 Not Found"),
        whole="422 unavailable", stream="422 unavailable", ledger="unavailable", cost=FREE,
    ),
    Fault(
        name="redirect", says="it lives elsewhere now", act=redirect,
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=FREE,
    ),
    Fault(
        name="length too short", says="Content-Length ends within the body", act=short_length,
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=UNKNOWN,
    ),
    Fault(
        name="length too long", says="Content-Length promises more than comes", act=long_length,
        whole=ERROR, stream=CUT, ledger="provider_error", cost=UNKNOWN,
    ),
    Fault(
        name="huge headers", says="two megabytes of headers", act=huge_headers,
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=UNKNOWN,
    ),
    Fault(
        name="gzip", says="a packed body that nobody asked for", act=zipped,
        whole=FINE, stream=FINE, ledger="", cost=KNOWN,
    ),
    Fault(
        name="no usage", says="an answer that does not count its tokens", act=no_usage,
        whole=FINE, stream=FINE, ledger="", cost=UNKNOWN,
    ),
    Fault(
        name="no end", says="the answer stops without saying why it ended", act=no_end,
        whole=ERROR, stream=CUT, ledger="provider_error", cost=UNKNOWN,
    ),
    Fault(
        name="nothing said", says="a success without any answer in it", act=nothing_said,
        whole=ERROR, stream=ERROR, ledger="provider_error", cost=UNKNOWN,
    ),
)  # fmt: skip


HEAD = """\
# What happens when an upstream fails

This page is made from the table that the tests run (`tests/faults/fault_table.py`): a peer on a raw
socket does each of these, a served gateway is asked over HTTP, and its ledger is read afterwards.
The tier may try once more (`limits.retries = 1`), and no other tier may answer.

- **whole** and **stream** are what a client sees without and with `stream: true`. `200, then an
  error event` ends without `[DONE]`: a cut answer is never a clean end.
- **ledger** is `failure` of the attempt; empty where it was answered.
- **cost** is what the attempt cost. `0`: the server refused it before any work. `unknown`: it may
  have worked on it; unknown is counted, never 0. `known`: from the usage in the answer.
- **tries** counts the requests that the server got for one call.

Where the task has another tier, that one answers in every row below, with status 200: nothing of an
answer is sent before it is decided. The failed attempt stays in the ledger as it is here. Only an
answer that was on its way to the caller when it broke (the last tier's, streamed) cannot be taken
back.

| fault | the upstream | whole | stream | ledger | cost | tries |
|---|---|---|---|---|---|---|
"""


def rendered() -> str:
    """The page, from the table."""
    return HEAD + "".join(_row(fault) for fault in FAULTS)


def _row(fault: Fault) -> str:
    after = "" if fault.retry_after is None else f" (Retry-After {fault.retry_after})"
    cells = (
        fault.name,
        fault.says,
        fault.whole + after,
        fault.stream + after,
        _both(fault.ledger, fault.stream_ledger),
        _both(fault.cost, fault.stream_cost),
        _both(str(fault.tries), None if fault.stream_tries is None else str(fault.stream_tries)),
    )
    return "| " + " | ".join(cells) + " |\n"


def _both(whole: str, stream: str | None) -> str:
    return whole if stream is None else f"{whole}; streamed {stream}"


if __name__ == "__main__":
    sys.stdout.write(rendered())
