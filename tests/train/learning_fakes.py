"""Learners and prompters that need no torch and no model file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stepdown.core.request import Request
from stepdown.errors import WeightsError
from stepdown.ports.learner import Turn


class FakeLearner:
    """Its one weight adds up what it saw; its validation loss follows a list, then stays."""

    def __init__(self, losses: Sequence[float] = (), *, stop_at: int | None = None) -> None:
        self.weight = 0.0
        self.moments = 0.0
        self.rates: list[float] = []
        self.doubts: list[bool] = []
        self.batches: list[list[Any]] = []
        self.loaded: list[str] = []
        self._losses = list(losses)
        self._stop_at = stop_at

    @property
    def about(self) -> Mapping[str, Any]:
        return {"device": "none", "precision": "exact", "trained_parameters": 1}

    def train(self, batch: Sequence[Any], rate: float, *, doubt: bool = False) -> float:
        if self._stop_at == len(self.batches):
            raise KeyboardInterrupt
        self.rates.append(rate)
        self.doubts.append(doubt)
        self.batches.append(list(batch))
        self.moments += sum(item.length for item in batch)
        self.weight += rate * self.moments
        return 1.0

    def loss(self, items: Sequence[Any], *, doubt: bool = False) -> float:
        return self._losses.pop(0) if self._losses else 1.0

    def save(self, path: Path, *, whole: bool) -> None:
        kept = {"weight": self.weight} | ({"moments": self.moments} if whole else {})
        path.write_text(json.dumps(kept))

    def load(self, path: Path) -> None:
        try:
            kept = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise WeightsError("damaged") from error
        self.loaded.append(path.name)
        self.weight = kept["weight"]
        self.moments = kept.get("moments", self.moments)

    def export(self, folder: Path) -> Mapping[str, Any]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.gguf").write_text(f"{self.weight!r}")
        return {"serves": "model.gguf"}


class FakePrompter:
    """One token a character; an answer ends with 0."""

    context_tokens = 4096

    def __init__(self) -> None:
        self.closed = False

    def prompt(self, request: Request) -> tuple[int, ...]:
        said = "\n".join(f"{message.role}: {message.text}" for message in request.messages)
        return tuple(map(ord, said))

    def answer(self, request: Request, text: str) -> tuple[int, ...]:
        return (*map(ord, text), 0)

    def close(self) -> None:
        self.closed = True


class Ticking:
    """A clock that moves by a fixed time at each look."""

    def __init__(self, step: float = 1.0) -> None:
        self.now, self._step = 0.0, step

    def __call__(self) -> float:
        self.now += self._step
        return self.now


def turns(count: int, *, base: int = 0) -> list[Turn]:
    """Return turns of different lengths that can be told apart."""
    return [Turn(tuple(range(base + i, base + i + 1 + i % 7)), (i, 0)) for i in range(count)]
