"""An answer of the OpenAI embeddings wire: one vector for each text. It does not know HTTP.

Source: OpenAI API reference, "The embedding object" and "Create embeddings", 2026-11. Vectors come
as base64 of little-endian float32 (what the official clients ask for) or as lists of numbers.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from stepdown.adapters.models.wire.failures import Said
from stepdown.adapters.models.wire.hosted import MalformedError, ReportedError
from stepdown.core.request import Usage

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

Count = Annotated[int, Meta(ge=0)]


class _Vector(Struct, frozen=True):
    embedding: str | list[float]
    index: Count


class _Usage(Struct, frozen=True):
    prompt_tokens: Count | None = None


class _Body(Struct, frozen=True):
    data: tuple[_Vector, ...] = ()
    model: str = ""
    usage: _Usage = _Usage()
    error: Said | str | None = None


class Vectors(Struct, frozen=True):
    """The vectors of one call (a list of float32 arrays), who made them, and their tokens."""

    rows: list[object]
    model: str
    usage: Usage


_decoder = msgspec.json.Decoder(_Body)


def read_vectors(data: bytes, texts: int, dimensions: int | None) -> tuple[Vectors, int]:
    """Return the vectors of a body in the order of the texts, and their length.

    Raises:
        MalformedError, msgspec.MsgspecError: not one finite vector of one length for each text.
        ReportedError: the body reports an error.
    """
    body = _decoder.decode(data)
    if body.error is not None:
        raise ReportedError(body.error)
    if sorted(each.index for each in body.data) != list(range(texts)):
        raise MalformedError(f"it holds {len(body.data)} vectors for {texts} texts, or some twice")
    rows: list[object] = [_row(each) for each in sorted(body.data, key=lambda each: each.index)]
    lengths = {len(row) for row in rows}  # type: ignore[arg-type]
    if len(lengths) != 1 or (dimensions is not None and lengths != {dimensions}):
        wanted = "one length" if dimensions is None else f"{dimensions} dimensions"
        raise MalformedError(f"its vectors have {sorted(lengths)} dimensions instead of {wanted}")
    # A vector costs its input; nothing is written.
    usage = Usage(input_tokens=body.usage.prompt_tokens, output_tokens=0)
    return Vectors(rows, body.model, usage), lengths.pop()


def _row(vector: _Vector) -> NDArray[float32]:
    import numpy as np

    if isinstance(vector.embedding, str):
        found = np.frombuffer(_bytes(vector.embedding), dtype="<f4").astype(np.float32)
    else:
        found = np.asarray(vector.embedding, dtype=np.float32)
    if not found.size or not np.isfinite(found).all():
        raise MalformedError(f"vector {vector.index} is empty or holds a number that is not finite")
    return found


def _bytes(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedError("a vector is not base64") from None
    if len(raw) % 4:
        raise MalformedError("a vector is cut within a number")
    return raw
