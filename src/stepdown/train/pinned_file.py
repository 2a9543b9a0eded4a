"""Read a file of numbers that is pinned by its digest, and the card in its header."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from stepdown.core.digest import digest_bytes
from stepdown.errors import WeightsError

CARD_KEY = "stepdown"
_Card = TypeVar("_Card", bound=Struct)


def read_pinned(path: Path, digest: str | None, *, what: str, most_bytes: int) -> bytes:
    """Return the bytes of a file; `what` names it in errors: a head, an extractor.

    Raises:
        WeightsError: it cannot be read, has more than `most_bytes`, or another digest.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= most_bytes else b""
    except OSError as error:
        raise WeightsError(
            f"Cannot read the {what} at {str(path)!r}: {error.strerror}.",
            "Train it with 'stepdown train', or correct the path in stepdown.toml.",
        ) from error
    if size > most_bytes:
        raise WeightsError(
            f"{str(path)!r} has {size} bytes; of a {what} at most {most_bytes} are read.",
            "Correct the path in stepdown.toml, or train it again with 'stepdown train'.",
        )
    if digest is not None and digest_bytes(data) != digest:
        raise WeightsError(
            f"The {what} at {str(path)!r} has digest {digest_bytes(data)}, expected {digest}.",
            "It was trained again or changed: certify again, or restore the file.",
        )
    return data


def card_in(data: bytes, kind: type[_Card]) -> _Card:
    """Return the card in a safetensors header: 8 bytes of length, then JSON.

    Raises:
        KeyError, ValueError: there is none, or it is of another shape.
    """
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = msgspec.json.decode(data[8 : 8 + length])
    return msgspec.json.decode(header["__metadata__"][CARD_KEY], type=kind)
