"""Whether two sets of answers to the same questions come from one source: a permutation test.

It knows likenesses of answers, not what they say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepdown.stats.arrays import Floats

DRAWS = 9_999
TOUCHED = 1e-12


@dataclass(frozen=True, slots=True)
class SameSource:
    """A p-value of "one source", and by how much old and new differ more than among themselves.

    `distance` is the mean energy distance over the questions, 0 for none and 2 at most.
    """

    p_value: float
    distance: float
    questions: int


def same_source(
    likeness: Sequence[Floats], old: Sequence[int], seed: int, draws: int = DRAWS
) -> SameSource:
    """Test whether old and new answers to each question are exchangeable.

    `likeness[q]` holds how alike each two answers to question q are, 0..1, the old ones first;
    `old[q]` is their number. The statistic is the energy distance of old and new (Szekely and Rizzo
    2013), summed over questions; answers are dealt anew within each question. The observed deal
    counts as one (Phipson and Smyth 2010), so the chance of a p-value of at most a is at most a,
    whatever the answers look like. Assumes that calls of one question are independent.
    """
    generator = np.random.default_rng(seed)
    observed, dealt = 0.0, np.zeros(draws)
    for alike, count in zip(likeness, old, strict=True):
        n = len(alike)
        first = np.zeros((1, n), dtype=bool)
        first[0, :count] = True
        observed += float(_distances(1.0 - alike, first)[0])
        order = np.argsort(generator.random((draws, n)), axis=1)
        dealt += _distances(1.0 - alike, order < count)
    p = (1 + int(np.sum(dealt >= observed - TOUCHED))) / (draws + 1)
    return SameSource(p, observed / max(1, len(likeness)), len(likeness))


def _distances(apart: Floats, first: np.ndarray) -> Floats:
    """Return the energy distance of each deal: twice the distance across, less those within."""
    one, other = first.astype(float), (~first).astype(float)
    n, m = one.sum(axis=1), other.sum(axis=1)
    across = np.einsum("ki,ij,kj->k", one, apart, other) / (n * m)
    within = np.einsum("ki,ij,kj->k", one, apart, one) / n**2
    beyond = np.einsum("ki,ij,kj->k", other, apart, other) / m**2
    found: Floats = 2 * across - within - beyond
    return found
