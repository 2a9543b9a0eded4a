"""A confidence per field of a JSON answer, from the log-probabilities of its value's tokens."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

from msgspec import Struct


class Piece(Struct, frozen=True):
    """One generated token: its bytes, its natural log-probability, and its best alternatives."""

    data: bytes
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


def field_probs(pieces: Sequence[Piece]) -> dict[str, float]:
    """Return field -> probability of the least likely token of its value, in 0..1.

    Only tokens inside the value count, not its quotes: their probability says which way of
    writing JSON the model prefers. Empty when the answer is not a JSON object.
    """
    text = b"".join(piece.data for piece in pieces).decode(errors="replace")
    try:
        spans = list(_value_spans(text))
    except (ValueError, IndexError, RecursionError):
        return {}
    return {name: _least(pieces, start, end) for name, start, end in spans}


def _value_spans(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each top-level field with the byte range of its value."""
    decoder = json.JSONDecoder()
    at = _skip(text, text.index("{") + 1, "")
    while text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        start = _skip(text, at, ":")
        value, end = decoder.raw_decode(text, start)
        quote = 1 if isinstance(value, str) and value else 0
        yield name, len(text[: start + quote].encode()), len(text[: end - quote].encode())
        at = _skip(text, end, ",")


def _skip(text: str, at: int, also: str) -> int:
    while text[at] in " \t\r\n" or text[at] == also:
        at += 1
    return at


def _least(pieces: Sequence[Piece], start: int, end: int) -> float:
    least, at = 0.0, 0
    for piece in pieces:
        begin, at = at, at + len(piece.data)
        if begin < end and at > start:
            least = min(least, piece.logprob)
    return math.exp(least)
