"""Peers at real sockets: one that keeps every byte it is sent, one that fails in every way."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "refund"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}
WAYS = (
    "ok",
    "500",
    "429",
    "redirect",
    "error_body",
    "garbage",
    "cut",
    "reset",
    "empty",
    "echo_400",
)


class Peer:
    """An HTTP/1.1 peer; `way` says how it answers, `seen` holds every byte that came in."""

    def __init__(self, outside: str = "") -> None:
        self.seen = bytearray()
        self.requests = 0
        self.way = "ok"
        self._outside = outside
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            try:
                body = self._read(connection)
                if body is not None:
                    self._answer(connection, body)
            except OSError:
                return

    def _read(self, connection: socket.socket) -> bytes | None:
        data = bytearray()
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return None
            data += part
            self.seen += part
        head, _, body = bytes(data).partition(b"\r\n\r\n")
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ),
            0,
        )
        while len(body) < length:
            part = connection.recv(65536)
            if not part:
                return None
            self.seen += part
            body += part
        self.requests += 1
        return body

    def _answer(self, connection: socket.socket, body: bytes) -> None:
        way = self.way
        whole = json.dumps(ANSWER).encode()
        if way == "reset":
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return
        if way == "empty":
            return
        answers = {
            "ok": (200, whole, b""),
            "500": (500, b'{"error":{"message":"no"}}', b""),
            "429": (429, b'{"error":{"message":"full"}}', b"retry-after: 0\r\n"),
            "redirect": (307, b"", f"location: {self._outside}/v1/x\r\n".encode()),
            "error_body": (200, b'{"error":{"message":"sorry"}}', b""),
            "garbage": (200, b"<html>", b""),
            "cut": (200, whole, b""),
            "echo_400": (
                400,
                json.dumps({"error": {"message": body.decode(errors="replace")}}).encode(),
                b"",
            ),
        }
        status, said, more = answers[way]
        head = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n" % status
        head += more + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(said)
        connection.sendall(head + (said[: len(said) // 2] if way == "cut" else said))


@contextmanager
def peer(outside: str = "") -> Iterator[Peer]:
    """Run a peer for a while."""
    found = Peer(outside)
    try:
        yield found
    finally:
        found.close()
