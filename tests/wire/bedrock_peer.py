"""A Bedrock runtime on loopback: Converse and ConverseStream, each request's signature checked.

Written from: Amazon Bedrock API reference, "Converse" and "ConverseStream" (version 2023-09-30);
AWS General Reference, "Create a signed AWS API request" (Signature Version 4); Amazon Transcribe
developer guide, "Event stream encoding" (the frames). All read 2026-11.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from binascii import crc32
from typing import Any
from urllib.parse import quote

from aiohttp import web

ACCESS, SECRET, REGION = "AKIDEXAMPLE000000000", "secret/planted+key0123456789", "eu-central-1"
MODEL = "eu.anthropic.claude-x-20261001-v1:0"

USAGE = {
    "inputTokens": 11,
    "outputTokens": 15,
    "totalTokens": 1126,
    "cacheReadInputTokens": 1000,
    "cacheWriteInputTokens": 100,
}
THOUGHT = {"reasoningContent": {"text": "Hm."}}
TOOL_USE = {"toolUseId": "tooluse_1", "name": "refund", "input": {"id": 7}}


def converse(**changes: Any) -> dict[str, Any]:
    """A response of Converse."""
    message = {"role": "assistant", "content": [{"text": "I will."}, {"toolUse": TOOL_USE}]}
    whole = {
        "output": {"message": message},
        "stopReason": "tool_use",
        "usage": USAGE,
        "metrics": {"latencyMs": 551},
    }
    return whole | changes


def converse_stream() -> list[tuple[str, dict[str, Any]]]:
    """The events of ConverseStream for the same answer, with reasoning that is skipped."""
    use = {"toolUseId": "tooluse_1", "name": "refund"}
    return [
        ("messageStart", {"role": "assistant"}),
        (
            "contentBlockDelta",
            {"delta": {"reasoningContent": {"text": "Hm."}}, "contentBlockIndex": 0},
        ),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("contentBlockDelta", {"delta": {"text": "I "}, "contentBlockIndex": 1}),
        ("contentBlockDelta", {"delta": {"text": "will."}, "contentBlockIndex": 1}),
        ("contentBlockStop", {"contentBlockIndex": 1}),
        ("contentBlockStart", {"start": {"toolUse": use}, "contentBlockIndex": 2}),
        ("contentBlockDelta", {"delta": {"toolUse": {"input": '{"id"'}}, "contentBlockIndex": 2}),
        ("contentBlockDelta", {"delta": {"toolUse": {"input": ": 7}"}}, "contentBlockIndex": 2}),
        ("contentBlockStop", {"contentBlockIndex": 2}),
        ("messageStop", {"stopReason": "tool_use"}),
        ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 551}}),
    ]


def frame(kind: str, payload: dict[str, Any], *, failed: bool = False) -> bytes:
    """One message of `application/vnd.amazon.eventstream`."""
    named = (":exception-type", "exception") if failed else (":event-type", "event")
    headers = b"".join(
        _header(*pair)
        for pair in (
            (named[0], kind),
            (":content-type", "application/json"),
            (":message-type", named[1]),
        )
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + body
    return message + struct.pack(">I", crc32(message))


def _header(name: str, value: str) -> bytes:
    said = value.encode()
    return (
        struct.pack(">B", len(name)) + name.encode() + b"\x07" + struct.pack(">H", len(said)) + said
    )


def signature(request: web.Request, body: bytes) -> str:
    """The signature that a request must carry, made anew from what came."""
    said = request.headers["Authorization"]
    parts = dict(part.strip().split("=", 1) for part in said.split(" ", 1)[1].split(","))
    scope = parts["Credential"].split("/", 1)[1]
    names = parts["SignedHeaders"].split(";")
    canonical = "\n".join(
        [
            request.method,
            quote(request.rel_url.raw_path, safe="/~"),  # encoded once more, except for S3
            "",
            *(f"{name}:{request.headers[name].strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers["X-Amz-Date"], scope, digest])
    key = ("AWS4" + SECRET).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Bedrock:
    """Answers by `steps` (a response, frames, or status and body), and keeps what it was asked."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.bodies.append(json.loads(body))
        self.paths.append(request.rel_url.raw_path)
        self.headers.append(dict(request.headers))
        if (refused := self._refused(request, body)) is not None:
            return web.json_response({"message": refused}, status=403)
        step = self.steps.pop(0)
        if isinstance(step, tuple):
            return web.json_response(step[1], status=step[0])
        if isinstance(step, bytes):
            return await self._pieces(request, step)
        return web.json_response(step)

    def _refused(self, request: web.Request, body: bytes) -> str | None:
        said = request.headers.get("Authorization", "")
        if said.startswith("Bearer "):
            return None if said == "Bearer bedrock-api-key" else "The key is invalid."
        good = f"Signature={signature(request, body)}" in said and f"/{REGION}/bedrock/" in said
        return None if good else "The request signature we calculated does not match."

    async def _pieces(self, request: web.Request, data: bytes) -> web.StreamResponse:
        """In pieces of seven bytes, so that frames are cut anywhere."""
        kind = {"Content-Type": "application/vnd.amazon.eventstream"}
        response = web.StreamResponse(headers=kind)
        await response.prepare(request)
        for start in range(0, len(data), 7):
            await response.write(data[start : start + 7])
        await response.write_eof()
        return response
