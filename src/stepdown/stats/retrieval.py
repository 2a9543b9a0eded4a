"""How well vectors find what is relevant, and rank pairs as people do. Arrays in, numbers out.

Sources: Järvelin and Kekäläinen (2002) for nDCG with linear gains, as trec_eval and scikit-learn
calculate it; Voorhees (1999) for the reciprocal rank; Diaconis and Graham (1977) for the footrule.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stepdown.stats.arrays import Floats, Ints


def unit(vectors: NDArray[np.float32]) -> Floats:
    """Return vectors of length 1, shape (n, d); one of length 0 stays so and is near to nothing."""
    rows = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return found


def ranks_of(similarities: Floats, places: Ints) -> Ints:
    """Return the rank (from 1) of some documents by similarity; equal ones in their order."""
    own = similarities[places][:, None]
    before = (similarities > own) | (
        (similarities == own) & (np.arange(similarities.size) < places[:, None])
    )
    found: Ints = before.sum(axis=1) + 1
    return found


def recall_at(ranks: Ints, k: int) -> float:
    """Return the share of the relevant documents among the first k."""
    return float(np.mean(ranks <= k))


def reciprocal_rank(ranks: Ints) -> float:
    """Return 1 / rank of the first relevant document."""
    return 1.0 / float(ranks.min())


def ndcg_at(ranks: Ints, gains: Floats, k: int) -> float:
    """Return the discounted gain of the first k over that of the best order; gains above 0."""
    shown = ranks <= k
    reached = float(np.sum(gains[shown] / np.log2(ranks[shown] + 1.0)))
    best = np.sort(gains)[::-1][:k]
    return min(1.0, reached / float(np.sum(best / np.log2(np.arange(best.size) + 2.0))))


def scores(ranks: Ints, gains: Floats, k: int) -> Mapping[str, float]:
    """Return the score of one query by every measure."""
    return {
        "recall_at_k": recall_at(ranks, k),
        "mrr": reciprocal_rank(ranks),
        "ndcg_at_k": ndcg_at(ranks, gains, k),
    }


def rank_agreement(found: Floats, truth: Floats) -> Floats:
    """Return, pair by pair, 1 less the distance of its two mid-ranks, as a share of the longest.

    Its mean is 1 for equal orders (the footrule, scaled to 0..1); one pair alone agrees.
    """
    from scipy.stats import rankdata

    if found.size < 2:
        return np.ones(found.size)
    gap: Floats = np.abs(rankdata(found) - rankdata(truth))
    agreed: Floats = 1.0 - gap / (found.size - 1)
    return agreed
