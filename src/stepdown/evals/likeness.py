"""What of a row is compared to find near-duplicates: its text, what stood before, its images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from stepdown.core.request import encode_answer

WORDS = 16  # that stand for an image, so that two images share no shingle
LETTERS = str.maketrans("0123456789", "ghijklmnop")  # digits are all alike to a shingle


def likeness(row: Mapping[str, Any], text: str, history: str | None, images: str | None) -> str:
    """Return the text by which a row is like another.

    Rows that ask the same of other images are not alike, nor are replies to other histories.
    """
    shown = None if images is None else row.get(images)
    if shown:
        listed = shown if isinstance(shown, list | tuple) else (shown,)
        return " ".join(word for each in listed for word in _words(str(each)))
    before = None if history is None else row.get(history)
    said = str(row.get(text, ""))
    if not before:
        return said
    return f"{before if isinstance(before, str) else encode_answer(before)} {said}"


def _words(image: str) -> Iterator[str]:
    found = hashlib.sha512(image.encode()).hexdigest().translate(LETTERS)
    return (found[i : i + 8] for i in range(0, 8 * WORDS, 8))
