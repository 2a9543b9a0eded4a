"""A hosted model's server for tests of the command line: SYNTHETIC answers by rule, on loopback.

It speaks the chat completions wire (OpenAI API reference, November 2026) as far as is needed, and
answers the topic that stands in the message, but for the messages that it was told to get wrong.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tiny_project import LABELS, SAYS


class Peer(ThreadingHTTPServer):
    """The server; `wrong` of ten messages get another answer, `model` is the name it gives."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = 0
        self.wrong = 0
        self.down = False
        self.model = "big-2026-10-01"
        self.models: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def answer(self, text: str) -> str:
        topic = next(label for label in LABELS if SAYS[label] in text)
        number = int(re.findall(r"\d+", text)[-1])
        if number % 10 < self.wrong:
            topic = LABELS[(LABELS.index(topic) + 1) % 4]
        return json.dumps({"topic": topic})


class Handler(BaseHTTPRequestHandler):
    server: Peer

    def do_POST(self) -> None:
        asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.calls += 1
        if self.server.down:
            self.reply(503, {"error": {"message": "down for maintenance", "type": "server_error"}})
            return
        said = {
            "role": "assistant",
            "content": self.server.answer(asked["messages"][-1]["content"]),
        }
        self.reply(200, {
            "id": "c", "object": "chat.completion", "created": 1, "model": self.server.model,
            "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 40, "completion_tokens": 7, "total_tokens": 47},
        })  # fmt: skip

    def do_GET(self) -> None:
        self.reply(200, {"object": "list", "data": self.server.models})

    def reply(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: Any) -> None:
        return None


@contextmanager
def serving() -> Iterator[Peer]:
    """Run the server in a thread."""
    peer = Peer()
    thread = threading.Thread(target=peer.serve_forever, daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        peer.shutdown()
        peer.server_close()
        thread.join()
