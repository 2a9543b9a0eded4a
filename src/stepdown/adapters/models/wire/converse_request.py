"""A request in the words of the Bedrock Converse wire. It does not know HTTP, signing or answers.

Source: Amazon Bedrock API reference, "Converse", version 2023-09-30, read 2026-11. Messages take
the way over the Anthropic wire's turns, which have the same shape: results of tools in one turn.
"""

from __future__ import annotations

from typing import Any

from stepdown.adapters.models.wire.messages_request import system_text, turns
from stepdown.core.request import Request, Tool
from stepdown.errors import Unavailable

FORMATS = ("png", "jpeg", "gif", "webp")


def converse_body(request: Request, max_tokens: int) -> dict[str, Any]:
    """Return the body of a request; the model stands in the address."""
    body: dict[str, Any] = {
        "messages": [_turn(turn) for turn in turns(request)],
        "inferenceConfig": _config(request, max_tokens),
    }
    if system := system_text(request):
        body["system"] = [{"text": system}]
    if request.tools:
        body["toolConfig"] = {"tools": [_tool(tool) for tool in request.tools]}
    return body


def _config(request: Request, max_tokens: int) -> dict[str, Any]:
    config: dict[str, Any] = {
        "maxTokens": request.max_tokens or max_tokens,
        "temperature": request.temperature,
    }
    return config | ({"stopSequences": list(request.stop)} if request.stop else {})


def _tool(tool: Tool) -> dict[str, Any]:
    schema = dict(tool.parameters) or {"type": "object", "properties": {}}
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": schema}}
    return {"toolSpec": spec | ({"description": tool.description} if tool.description else {})}


def _turn(turn: dict[str, Any]) -> dict[str, Any]:
    said = turn["content"]
    blocks = [{"type": "text", "text": said}] if isinstance(said, str) else said
    return {"role": turn["role"], "content": [_block(block) for block in blocks]}


def _block(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "text":
        return {"text": block["text"]}
    if block["type"] == "image":
        return {"image": _image(block["source"])}
    if block["type"] == "tool_use":
        return {
            "toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}
        }
    content = [{"text": block["content"]}]
    return {"toolResult": {"toolUseId": block["tool_use_id"], "content": content}}


def _image(source: dict[str, str]) -> dict[str, Any]:
    kind = source.get("media_type", "").removeprefix("image/")
    if source["type"] != "base64" or kind not in FORMATS:
        raise Unavailable(
            f"The Bedrock wire takes an image only as a data URL of the kind {', '.join(FORMATS)}.",
            "Send the image itself instead of its address, or use another tier.",
        )
    return {"format": kind, "source": {"bytes": source["data"]}}
