"""A population: rows of traffic with a confidence and the chance that the answer is right."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Population:
    """Rows drawn from with replacement, so that the truth is exact: the rows themselves.

    `accuracy` is a chance in 0..1, or the recorded 0 or 1. `groups` number the conversations;
    then whole conversations are drawn.
    """

    name: str
    confidence: Floats
    accuracy: Floats
    recorded: bool = False
    groups: Ints | None = None
    _sorted: Floats = field(init=False, repr=False)
    _mean_above: Floats = field(init=False, repr=False)
    _members: list[Ints] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        order = np.argsort(-self.confidence, kind="stable")
        mean = np.cumsum(self.accuracy[order]) / np.arange(1, order.size + 1)
        object.__setattr__(self, "_sorted", self.confidence[order])
        object.__setattr__(self, "_mean_above", mean)
        object.__setattr__(self, "_members", [] if self.groups is None else _members(self.groups))

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Ints | None]:
        """Return confidences and 0/1 scores of n independent rows, or of about n rows in groups."""
        if self.groups is None:
            rows, groups = rng.integers(0, self.confidence.size, n), None
        else:
            wanted = round(n * len(self._members) / self.confidence.size)
            picked = [self._members[i] for i in rng.integers(0, len(self._members), wanted)]
            rows = np.concatenate(picked)
            groups = np.repeat(np.arange(wanted), [len(one) for one in picked])
        score = rng.random(rows.size) < self.accuracy[rows]
        return self.confidence[rows], score.astype(np.float64), groups

    def kept(self, threshold: float | None) -> tuple[float, float]:
        """Return (share of traffic kept, its true accuracy); accuracy 1 where nothing is kept."""
        if threshold is None:
            return 0.0, 1.0
        rows = int(np.searchsorted(-self._sorted, -threshold, side="right"))
        return rows / self._sorted.size, float(self._mean_above[rows - 1]) if rows else 1.0

    def broken(self, threshold: float | None, target: float) -> bool:
        """Say whether the promise "accuracy of kept answers >= target" is broken."""
        return self.kept(threshold)[1] < target - 1e-9

    def best_possible(self, target: float) -> float:
        """Return the largest share that a threshold can keep at the target."""
        last = np.append(np.diff(self._sorted) < 0.0, [True])
        good = np.flatnonzero(last & (self._mean_above >= target))
        return float(good[-1] + 1) / self._sorted.size if good.size else 0.0


def _members(groups: Ints) -> list[Ints]:
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
