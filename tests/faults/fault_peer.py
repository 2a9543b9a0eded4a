"""A peer on a raw socket that does exactly what a test says, byte by byte.

Answers follow the OpenAI API reference, "The chat completion object" and "The chat completion
chunk object", read 2026-11.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
Act = Callable[["Line"], None]


class Line:
    """One request on one connection: what was asked, and the means to answer in any way."""

    def __init__(self, sock: socket.socket, head: str, body: bytes, nth: int) -> None:
        self.sock = sock
        self.head = head
        self.body = body
        self.nth = nth  # the first try of a call is 1

    @property
    def stream(self) -> bool:
        return bool(json.loads(self.body or b"{}").get("stream"))

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def status(self, line: str, body: bytes = b"", **headers: str) -> None:
        """A whole answer with a right length."""
        said = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        lines = [f"HTTP/1.1 {line}", *(f"{n.replace('_', '-')}: {v}" for n, v in said.items())]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def fine(self) -> None:
        """What a healthy server says: whole, or as a stream."""
        if not self.stream:
            self.status("200 OK", answer())
            return
        self.begin_stream()
        for event in chunks():
            self.chunk(event)
        self.chunk(b"data: [DONE]\n\n")
        self.send(b"0\r\n\r\n")

    def begin_stream(self) -> None:
        self.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def reset(self) -> None:
        """End the connection with a reset instead of an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def until_gone(self, longest_s: float = 10.0) -> float:
        """Wait until the other side closes; return how long that took."""
        start = time.monotonic()
        self.sock.settimeout(longest_s)
        with suppress(OSError):
            while self.sock.recv(4096):
                pass
        return time.monotonic() - start


def answer(text: str = "fine", **changes: Any) -> bytes:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    whole = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m"}
    return json.dumps({**whole, "choices": [choice], "usage": USAGE, **changes}).encode()


def event(delta: dict[str, Any], **changes: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": changes.pop("finish_reason", None)}
    whole = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    body = {**whole, "choices": [choice], "usage": None, **changes}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def chunks(*, usage: bool = True) -> list[bytes]:
    """A whole stream of two words, its usage last."""
    said = [event({"role": "assistant", "content": "fi"}), event({"content": "ne"})]
    said.append(event({}, finish_reason="stop"))
    return said + ([event({}, choices=[], usage=USAGE)] if usage else [])


def refusal(message: str, **changes: Any) -> bytes:
    said = {"message": message, "type": "server_error", "param": None, "code": None}
    return json.dumps({"error": said | changes}).encode()


class Peer:
    """Listens; `act` answers each request. `calls` holds the heads of what was asked."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.act: Act = Line.fine
        self.calls: list[str] = []
        self.gone_after_s: list[float] = []
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/v1"

    def set(self, act: Act) -> None:
        """Do this from now on; the next request is the first."""
        self.act = act
        self.calls.clear()
        self.gone_after_s.clear()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError), sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            while (asked := _read(sock)) is not None:
                self.calls.append(asked[0])
                self.act(Line(sock, *asked, len(self.calls)))


def _read(sock: socket.socket) -> tuple[str, bytes] | None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (piece := sock.recv(65536)):
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    wanted = next(
        (int(line.split(":")[1]) for line in text.lower().splitlines() if "content-length" in line),
        0,
    )
    while len(body) < wanted:
        body += sock.recv(65536)
    return text, body


@contextmanager
def self_signed(folder: Path) -> Iterator[ssl.SSLContext]:
    """A certificate that nobody trusts."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    yield context


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
