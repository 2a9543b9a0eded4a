"""A confidence per field of a JSON answer, from the log-probabilities of its value's tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from stepdown.core.value_tokens import field_logprobs


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
    sized = [(len(piece.data), piece.logprob) for piece in pieces]
    found = field_logprobs(text, sized, in_bytes=True)
    return {name: math.exp(min((0.0, *logprobs))) for name, logprobs in found.items()}
