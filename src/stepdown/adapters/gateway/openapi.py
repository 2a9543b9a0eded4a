"""The OpenAPI document of the gateway, made of the very structs that decode the requests.

Answers are described by their outer shape only: the wires' own documents say the rest. It calls
nothing. Source: OpenAPI Specification 3.1.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from stepdown.adapters.gateway.chat_request import ChatRequest
from stepdown.adapters.gateway.embeddings import EmbeddingsRequest
from stepdown.adapters.gateway.messages_request import MessagesRequest

PATH = "/openapi.json"
_REF = "#/components/schemas/{name}"
_REQUESTS = {
    "/v1/chat/completions": (ChatRequest, "Answer a chat by a task (OpenAI wire).", "chatError"),
    "/v1/messages": (
        MessagesRequest,
        "Answer messages by a task (Anthropic wire).",
        "messageError",
    ),
    "/v1/embeddings": (
        EmbeddingsRequest,
        "Embed texts by an embed task (OpenAI wire).",
        "chatError",
    ),
}
_FAILURES = {
    "400": "the body or a value is wrong; the field is named",
    "401": "no key, or another",
    "403": "no key is set, and the host or origin is not loopback",
    "404": "an unknown model; the nearest name is given",
    "413": "the body is too large",
    "422": "no tier can answer this",
    "429": "a tier is full; with retry-after",
    "500": "unforeseen; the log has the reason under the request id",
    "502": "a tier failed",
    "503": "an embedded model is full, or a tier is left alone; with retry-after",
    "504": "a tier did not answer in time",
}
_HINTS = (
    ("task", "which task a direct call or a mapped name is for"),
    ("step", "the step's name in reports"),
    ("message-id", "joins the steps of one message"),
    ("session", "joins the turns of one conversation"),
    ("boundary", "how far the data may travel; only tighter than the task's counts"),
    ("customer-facing", "true: an answer of a small tier is polished"),
    ("deadline-ms", "when the caller stops waiting"),
)


def document(version: str, beside: Mapping[str, str] = {}) -> dict[str, Any]:
    """Return the document; `beside` are further paths with their method."""
    kinds = [kind for kind, _, _ in _REQUESTS.values()]
    refs, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    paths = {
        path: {"post": _post(said, ref, error)}
        for (path, (_, said, error)), ref in zip(_REQUESTS.items(), refs, strict=True)
    }
    reads = {path: method for path, method in beside.items() if path not in paths}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Stepdown gateway", "version": version or "0"},
        "paths": {**paths, **{path: {m.lower(): _plain(path)} for path, m in reads.items()}},
        "components": {
            "schemas": {**schemas, **_ERRORS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{"bearer": []}, {"header": []}, {}],
    }


def _post(said: str, body: Any, error: str) -> dict[str, Any]:
    stream = {"text/event-stream": {"schema": {"type": "string"}}}
    whole = {"application/json": {"schema": {"type": "object"}}}
    failed = {"application/json": {"schema": {"$ref": _REF.format(name=error)}}}
    return {
        "summary": said,
        "parameters": [_hint(name, meaning) for name, meaning in _HINTS],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {"description": "the answer", "content": whole | stream},
            **{code: {"description": why, "content": failed} for code, why in _FAILURES.items()},
        },
    }


def _hint(name: str, meaning: str) -> dict[str, Any]:
    header = f"x-stepdown-{name}"
    return {"name": header, "in": "header", "description": meaning, "schema": {"type": "string"}}


def _plain(path: str) -> dict[str, Any]:
    return {"summary": path, "responses": {"default": {"description": "see docs/gateway.md"}}}


def _object(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields)}


_TEXT = {"type": "string"}
_MAYBE: dict[str, Sequence[str]] = {"type": ("string", "null")}
_ERRORS = {
    "chatError": _object(error=_object(message=_TEXT, type=_TEXT, param=_MAYBE, code=_MAYBE)),
    "messageError": _object(
        type={"const": "error"}, error=_object(type=_TEXT, message=_TEXT), request_id=_TEXT
    ),
}
