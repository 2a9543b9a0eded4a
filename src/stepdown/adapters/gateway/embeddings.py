"""`POST /v1/embeddings`, the OpenAI embeddings wire.

Source: OpenAI API reference, "Create embeddings", 2026-11. Arrays of tokens are refused: they are
of one vendor's vocabulary, and another tier cannot read them.
"""

from __future__ import annotations

from array import array
from base64 import b64encode
from sys import byteorder
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from stepdown.adapters.gateway.answers import JSON, Answer, encode, explained_trace
from stepdown.adapters.gateway.bodies import read_body
from stepdown.adapters.gateway.decoding import Decoding
from stepdown.adapters.gateway.extents import MOST_TEXTS
from stepdown.adapters.gateway.faults import BadBodyError, bad_request, unknown_model
from stepdown.adapters.gateway.hanging_up import while_listened
from stepdown.adapters.gateway.visit import RefusedError, Visit
from stepdown.core.call import EmbedCall, EmbedReply
from stepdown.core.hints import read_hints
from stepdown.core.request import Usage
from stepdown.ports.handler import Handler

_Text = Annotated[str, Meta(min_length=1)]
_Token = list[int] | int


class EmbeddingsRequest(Struct, frozen=True):
    """The fields of an embeddings request."""

    model: str
    input: _Text | Annotated[list[str | _Token], Meta(min_length=1, max_length=MOST_TEXTS)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    metadata: dict[str, str] | None = None


_decode = Decoding(EmbeddingsRequest)


class Embeddings:
    """The route: vectors of texts."""

    def __init__(self, handler: Handler, *, max_body_bytes: int) -> None:
        self._handler = handler
        self._max_body_bytes = max_body_bytes

    async def __call__(self, visit: Visit) -> Answer:
        """Answer one request."""
        body = await read_body(visit, self._max_body_bytes)
        try:
            request, rest = _decode(body)
            texts = _texts(request)
        except BadBodyError as error:
            raise RefusedError(bad_request(error.message, error.param)) from None
        if not self._handler.knows(request.model):
            raise RefusedError(unknown_model(request.model, self._handler.models()))
        call = EmbedCall(
            id=visit.id,
            model=request.model,
            texts=texts,
            dimensions=request.dimensions,
            hints=read_hints({**visit.hints, **(request.metadata or {})}),
        )
        reply = await while_listened(visit.receive, self._handler.embed(call))
        told = explained_trace(reply.trace, ignored=tuple(rest))
        return Answer(200, _body(reply, is_base64=request.encoding_format == "base64"), JSON + told)


def _texts(request: EmbeddingsRequest) -> tuple[str, ...]:
    said = [request.input] if isinstance(request.input, str) else request.input
    texts = tuple(text for text in said if isinstance(text, str))
    if len(texts) != len(said):
        raise BadBodyError("arrays of tokens are not supported: send texts.", "input")
    if empty := [number for number, text in enumerate(texts) if not text]:
        raise BadBodyError("an empty text has no vector.", f"input[{empty[0]}]")
    return texts


def _body(reply: EmbedReply, *, is_base64: bool) -> bytes:
    data = [
        {"object": "embedding", "index": n, "embedding": _written(vector, is_base64=is_base64)}
        for n, vector in enumerate(reply.vectors)
    ]
    body = {"object": "list", "data": data, "model": reply.model, **_usage(reply.usage)}
    return encode(body)


def _written(vector: bytes, *, is_base64: bool) -> str | list[float]:
    if is_base64:
        return b64encode(vector).decode()
    numbers = array("f", vector)
    if byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def _usage(usage: Usage) -> dict[str, Any]:
    """Return the usage block, or nothing where the count is not known."""
    count = usage.input_tokens
    return {} if count is None else {"usage": {"prompt_tokens": count, "total_tokens": count}}
