"""A fake encoder that counts letters, and rows made by rule for it."""

import numpy as np
from numpy.typing import NDArray

from stepdown.core.digest import digest

WORDS = {"refund": "money back refund paid", "delivery": "parcel late courier door", "spam": "win"}


class Letters:
    """A fake encoder: counts of letters, scaled to length 1."""

    name = "letters"
    dim = 26

    def __init__(self) -> None:
        self.digest = digest("letters")

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            for letter in text:
                if "a" <= letter <= "z":
                    out[row, ord(letter) - 97] += 1
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)


def rows(n: int, seed: int = 1) -> tuple[list[str], list[str]]:
    """Messages of one word of their label and one of any, so that some cannot be told apart."""
    rng, names = np.random.default_rng(seed), sorted(WORDS)
    everything = " ".join(WORDS.values()).split()
    texts, labels = [], []
    for at in range(n):
        label = names[int(rng.integers(3))]
        told = [rng.choice(WORDS[label].split()), rng.choice(everything)]
        texts.append(" ".join(told) + f" {at}")
        labels.append(label)
    return texts, labels
