"""Rows for the eval benchmark: a text of about 1 KB each, no two alike."""

from __future__ import annotations

import json
from pathlib import Path

WORDS = "the parcel was sent on monday and the invoice names another amount than agreed "


def write(path: Path, n: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for i in range(n):
            text = f"Message {i}: " + WORDS * 12
            file.write(json.dumps({"id": f"row-{i}", "text": text, "answer": "yes"}) + "\n")
    return path
