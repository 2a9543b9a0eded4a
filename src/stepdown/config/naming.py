"""Name the nearest known word for one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], what: str) -> str:
    """Return the hint for an unknown word: the nearest known one, else all of them."""
    listed = sorted(known)
    close = difflib.get_close_matches(word, listed, n=1, cutoff=0.5)
    return f"Did you mean `{close[0]}`?" if close else f"Known {what}: {', '.join(listed)}."
