"""How much a text resembles the training rows: 1 is at the heart of a label, 0 unlike them all.

It measures distance only. A familiar text can still be answered wrongly; confidence says that.
"""

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from numpy import float32, intp
    from numpy.typing import NDArray

_STEPS = 1000


class Familiarity(Struct, frozen=True, eq=False):
    """Centres of the labels, shape (labels, dim), and 1,001 ascending quantiles of distance."""

    centroids: "NDArray[float32]"
    distances: "NDArray[float32]"

    def score(self, embeddings: "NDArray[float32]") -> "NDArray[float32]":
        """Return the share of training rows that lie at least as far out, 0..1, shape (rows,)."""
        found = _nearest(embeddings, self.centroids)
        below = np.searchsorted(self.distances, found, side="left")
        return (1 - below / len(self.distances)).astype(np.float32)


def fit_familiarity(
    embeddings: "NDArray[float32]", labels: "NDArray[intp]", n_labels: int
) -> Familiarity:
    """Measure each training row against centres computed without it."""
    sums = np.zeros((n_labels, embeddings.shape[1]), dtype=np.float64)
    np.add.at(sums, labels, embeddings)
    counts = np.bincount(labels, minlength=n_labels)[:, None]
    centroids = (sums / np.maximum(counts, 1)).astype(np.float32)
    others = _all(embeddings, centroids)
    others[np.arange(len(labels)), labels] = _without_itself(embeddings, labels, sums, counts)
    quantiles = np.quantile(others.min(axis=1), np.linspace(0, 1, _STEPS + 1))
    return Familiarity(centroids, quantiles.astype(np.float32))


def _without_itself(
    embeddings: "NDArray[float32]",
    labels: "NDArray[intp]",
    sums: "NDArray[np.float64]",
    counts: "NDArray[intp]",
) -> "NDArray[np.float64]":
    """Return the distance of each row to its own centre, had the row not been there."""
    left = counts[labels] - 1
    centre = (sums[labels] - embeddings) / np.maximum(left, 1)
    apart = np.sqrt(((embeddings - centre) ** 2).sum(axis=1))
    return np.where(left[:, 0] > 0, apart, np.inf)


def _nearest(
    embeddings: "NDArray[float32]", centroids: "NDArray[float32]"
) -> "NDArray[np.float64]":
    nearest: NDArray[np.float64] = _all(embeddings, centroids).min(axis=1)
    return nearest


def _all(embeddings: "NDArray[float32]", centroids: "NDArray[float32]") -> "NDArray[np.float64]":
    """Return Euclidean distances, shape (rows, labels)."""
    squares = (embeddings**2).sum(axis=1)[:, None] + (centroids**2).sum(axis=1)[None, :]
    apart: NDArray[np.float64] = squares.astype(np.float64) - 2 * (embeddings @ centroids.T)
    return np.sqrt(np.maximum(apart, 0))
