"""Where a triage's vectors lie: principal axes, clusters, and how far out the fitted rows are.

It sees no scores, so rows without labels serve it as well.
"""

import numpy as np
from msgspec import Struct

from stepdown.certify.triage_model import Compact, Ints, Space, nearest

_QUANTILES = 1001


class Recipe(Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes of the fit; none of them depends on a task, and out-of-fold evidence decides the rest.

    `axes` are principal axes of the vectors, `slopes` the leading ones that each segment weighs for
    itself; there are at most as many as a quarter of the rows. `clusters` and `segments` (the most
    frequent stay, the others count as unseen) bound memory; `rows_per_cluster` keeps clusters
    from being single rows. `waves` are the random features of the shape.
    One thread by default: sums then have one order, and waiting threads slow a busy machine.
    """

    folds: int = 5
    axes: int = 64
    slopes: int = 8
    waves: int = 64
    clusters: int = 32
    rows_per_cluster: int = 10
    cluster_rows: int = 4000
    cluster_steps: int = 10
    segments: int = 4096
    fewest_rows: int = 10
    threads: int = 1


def fit_space(vectors: Compact, seed: int, recipe: Recipe) -> Space:
    """Return the principal axes, scaled so that coordinates have a mean squared length of 1."""
    kept = vectors[vectors.any(axis=1)]
    centre = kept.mean(axis=0)
    wide = kept - centre
    axes = np.linalg.eigh((wide.T @ wide).astype(np.float64))[1][:, ::-1]
    axes = axes[:, : max(1, min(recipe.axes, len(kept) // 4))]
    length = float(np.sqrt(((wide @ axes) ** 2).sum(axis=1).mean()))
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    turned = axes * np.where(largest < 0, -1.0, 1.0) / max(length, 1e-9)
    return Space(centre, turned.astype(np.float32), _clusters(kept, seed, recipe))


def _clusters(vectors: Compact, seed: int, recipe: Recipe) -> Compact:
    """Return cluster centres by Lloyd's algorithm (1982) on at most `cluster_rows` rows."""
    chance = np.random.default_rng(seed)
    rows = vectors[chance.permutation(len(vectors))[: recipe.cluster_rows]]
    many = max(1, min(recipe.clusters, len(rows) // recipe.rows_per_cluster))
    centres: Compact = rows[:many].copy()
    for _ in range(recipe.cluster_steps):
        at, _ = nearest(rows, centres)
        for part in range(many):
            if (at == part).any():
                centres[part] = rows[at == part].mean(axis=0)
    return centres


def fit_distances(vectors: Compact, folds: Ints, seed: int, recipe: Recipe) -> Compact:
    """Return quantiles of the distance of each row to the clusters of the other folds."""
    real = vectors.any(axis=1)
    found = np.full(len(vectors), np.nan)
    for fold in range(int(folds.max()) + 1):
        here = real & (folds == fold)
        if here.any() and (real & ~here).any():
            found[here] = nearest(vectors[here], _clusters(vectors[real & ~here], seed, recipe))[1]
    found = found[~np.isnan(found)]
    if not found.size:
        return np.empty(0, dtype=np.float32)
    steps: Compact = np.quantile(found, np.linspace(0, 1, _QUANTILES)).astype(np.float32)
    return steps
