"""A fake encoder for the extractor's tests: each token's letters, counted; SYNTHETIC notes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepdown.core.digest import digest
from stepdown.ports.encoder import PieceVectors

SHOPS = ("Northlight Toys", "Ada Baker Ltd", "Quill and Ink", "Harbour Bikes", "Moss Garden")
STREETS = ("12 Mill Lane", "4 High Street", "77 Sea Road", "9 Elm Row", "31 Bridge End")
TOWNS = ("Leeds", "York", "Bath", "Truro", "Kendal")
ITEMS = ("lamp", "kettle", "rope", "chair", "paint", "bolt", "candle")


class Pieces:
    """Words as word pieces; a vector counts the letters of a word."""

    name = "pieces"
    dim = 26
    piece_dim = 26
    contextual = True

    def __init__(self, salt: str = "") -> None:
        self.digest = self.piece_digest = digest(["pieces", salt])

    def embed(self, texts: Any) -> NDArray[np.float32]:
        return np.stack([self._letters(text) for text in texts])

    def embed_pieces(self, text: str) -> PieceVectors:
        found = list(re.finditer(r"\S+", text))
        starts = np.array([match.start() for match in found], dtype=np.intp)
        vectors = [self._letters(match.group()) for match in found]
        return PieceVectors(starts, np.array(vectors, dtype=np.float32).reshape(-1, 26))

    def _letters(self, word: str) -> NDArray[np.float32]:
        out = np.zeros(26, dtype=np.float32)
        for letter in word.casefold():
            if "a" <= letter <= "z":
                out[ord(letter) - 97] += 1
        return out


def receipt(rng: np.random.Generator) -> tuple[str, dict[str, str | None]]:
    """Return the text of a made-up receipt and its fields; one in five has no date."""
    shop, street = rng.choice(SHOPS), rng.choice(STREETS)
    town, number = rng.choice(TOWNS), int(rng.integers(100, 999))
    day = f"{rng.integers(1, 29):02d}/{rng.integers(1, 13):02d}/2026"
    lines = [f"{rng.choice(['Welcome to', 'RECEIPT', '***'])}", f"{shop} {number}"]
    lines += [f"{street},", f"{town},", f"Tel {rng.integers(10_000, 99_999)}"]
    dated = rng.random() < 0.8
    lines += [f"Date {day}"] if dated else [f"Till {rng.integers(1, 9)}"]
    costs = rng.integers(100, 900, size=int(rng.integers(1, 4)))
    lines += [f"{rng.choice(ITEMS)} {cost / 100:.2f}" for cost in costs]
    lines += [f"TOTAL {costs.sum() / 100:.2f}", f"CASH {costs.sum() / 100 + 5:.2f}", "Thank you"]
    fields = {
        "shop": f"{shop} {number}",
        "address": f"{street}, {town},",
        "date": day if dated else None,
        "total": f"{costs.sum() / 100:.2f}",
    }
    return "\n".join(lines), fields


def receipts(n: int, seed: int = 1) -> tuple[list[str], list[dict[str, str | None]]]:
    """Return some receipts."""
    rng = np.random.default_rng(seed)
    made = [receipt(rng) for _ in range(n)]
    return [text for text, _ in made], [fields for _, fields in made]
