"""Whether what was extracted stands in the source: evidence that needs no log-probabilities.

It does not know which value is right; a value that the source does not hold was made up.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping


def share_found(values: Iterable[str | None], source: str) -> float:
    """Return the share of the values that stand in the source, 0..1; 1 when there is no value.

    Case, white space and Unicode form (NFKC) do not count. Null and empty values say nothing about
    the source and are left out.
    """
    text = _plain(source)
    found = [_plain(value) in text for value in values if value]
    return sum(found) / len(found) if found else 1.0


def texts_in(value: object) -> list[str]:
    """Return every text inside a JSON value, in order; numbers and keys are none."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value
    if not isinstance(inner, Iterable):
        return []
    return [text for each in inner for text in texts_in(each)]


def _plain(text: str) -> str:
    whole = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return " ".join(whole.split()).casefold()
