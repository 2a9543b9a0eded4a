"""How many texts an encoder reads only the beginning of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def count_cut(tokenizer: Any, texts: Sequence[str], limit: int) -> int:
    """Return how many texts a tokenizer with truncation cuts; `limit` is in tokens.

    A token holds a character at least, so a text of so few characters is never cut.
    """
    long = [text for text in texts if len(text) > limit - 2]
    return sum(bool(tokenizer.encode(text).overflowing) for text in long)
