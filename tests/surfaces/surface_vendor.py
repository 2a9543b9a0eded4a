"""A vendor on this machine that speaks both wires and answers as a script says.

Bodies follow the OpenAI API reference, "The chat completion (chunk) object", and the Anthropic API
reference, "Create a Message" and "Streaming Messages" (version 2023-06-01), both read 2026-11.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# text, calls ((id, name, arguments), ...), stop: the sequence that ended it, hang: it never ends
Said = Mapping[str, Any]


class Vendor:
    """What each model says, and what each was asked."""

    def __init__(self) -> None:
        self.says: dict[str, Said] = {}
        self.asked: list[dict[str, Any]] = []
        self.hung_up = threading.Event()
        self.url = ""

    def forget(self) -> None:
        self.says.clear()
        self.asked.clear()
        self.hung_up.clear()

    def bodies(self, model: str) -> list[dict[str, Any]]:
        return [body for body in self.asked if body["model"] == model]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    made: Vendor

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.made.asked.append(body)
        said = self.made.says[body["model"]]
        whole, events = CHAT if self.path.endswith("/chat/completions") else MESSAGES
        if not body.get("stream"):
            self._send("application/json", json.dumps(whole(said)).encode())
        else:
            self._stream(events(said), hangs=bool(said.get("hang")))

    def _stream(self, events: Iterator[bytes], *, hangs: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        try:
            for event in events:
                self.wfile.write(event)
                self.wfile.flush()
                if hangs and b"Dear" in event and not self.rfile.read(1):
                    self.made.hung_up.set()
                    break
        except OSError:
            self.made.hung_up.set()
        self.close_connection = True

    def _send(self, kind: str, data: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        return None


@contextmanager
def vendor() -> Iterator[Vendor]:
    """Serve from a thread for as long as the block runs."""
    made = Vendor()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"made": made}))
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _pieces(said: Said) -> list[str]:
    text = said.get("text", "")
    return [text[at : at + 5] for at in range(0, len(text), 5)]


def _chat(said: Said) -> Any:
    message: dict[str, Any] = {"role": "assistant", "content": said.get("text")}
    if said.get("calls"):
        message["tool_calls"] = [
            {"id": name, "type": "function", "function": {"name": function, "arguments": arguments}}
            for name, function, arguments in said["calls"]
        ]
    end = "tool_calls" if said.get("calls") else said.get("end", "stop")
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m-1",
        "choices": [{"index": 0, "message": message, "finish_reason": end, "logprobs": None}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14},
    }


def _chunks(said: Said) -> Iterator[bytes]:
    def chunk(delta: Any, end: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": end, "logprobs": None}
        start = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1"}
        return b"data: %b\n\n" % json.dumps({**start, "choices": [choice]}).encode()

    yield chunk({"role": "assistant", "content": ""})
    for piece in _pieces(said):
        yield chunk({"content": piece})
    for at, (name, function, arguments) in enumerate(said.get("calls", ())):
        named = {"name": function, "arguments": ""}
        yield chunk(
            {"tool_calls": [{"index": at, "id": name, "type": "function", "function": named}]}
        )
        for part in (arguments[:4], arguments[4:]):
            yield chunk({"tool_calls": [{"index": at, "function": {"arguments": part}}]})
    yield chunk({}, "tool_calls" if said.get("calls") else "stop")
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    yield b"data: %b\n\n" % json.dumps({"choices": [], "model": "m-1", "usage": usage}).encode()
    yield b"data: [DONE]\n\n"


def _message(said: Said) -> Any:
    text = said.get("text")
    content: list[Any] = [{"type": "text", "text": text}] if text else []
    content += [
        {"type": "tool_use", "id": name, "name": function, "input": json.loads(arguments)}
        for name, function, arguments in said.get("calls", ())
    ]
    return {
        "id": "msg",
        "type": "message",
        "role": "assistant",
        "model": "c-1",
        "content": content,
        "stop_reason": _ending(said),
        "stop_sequence": said.get("stop"),
        "usage": {"input_tokens": 7, "output_tokens": 4, "cache_read_input_tokens": 3},
    }


def _ending(said: Said) -> str:
    if said.get("calls"):
        return "tool_use"
    return "stop_sequence" if said.get("stop") else "end_turn"


def _events(said: Said) -> Iterator[bytes]:
    def event(kind: str, **body: Any) -> bytes:
        data = json.dumps({"type": kind, **body}).encode()
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    whole = _message(said)
    yield event("message_start", message={**whole, "content": [], **OPEN})
    for at, block in enumerate(whole["content"]):
        if block["type"] == "text":
            yield event("content_block_start", index=at, content_block={**block, "text": ""})
            for piece in _pieces(said):
                delta = {"type": "text_delta", "text": piece}
                yield event("content_block_delta", index=at, delta=delta)
        else:
            yield event("content_block_start", index=at, content_block={**block, "input": {}})
            arguments = json.dumps(block["input"])
            for part in (arguments[:4], arguments[4:]):
                delta = {"type": "input_json_delta", "partial_json": part}
                yield event("content_block_delta", index=at, delta=delta)
        yield event("content_block_stop", index=at)
    end = {"stop_reason": whole["stop_reason"], "stop_sequence": whole["stop_sequence"]}
    yield event("message_delta", delta=end, usage={"output_tokens": 4})
    yield event("message_stop")


OPEN = {"stop_reason": None, "stop_sequence": None}
CHAT = (_chat, _chunks)
MESSAGES = (_message, _events)
