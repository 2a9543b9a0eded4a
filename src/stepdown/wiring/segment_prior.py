"""The task prior as a yardstick: which tier scores best on queries of a kind, fitted across folds.

It is the rule that learned routers must beat; it reads nothing of a query but its segment.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stepdown.wiring.estimating import Floats, Groups

Ints = NDArray[np.int64]
FOLDS = 5
PRIOR_ROWS = 10.0  # rows by which a segment is drawn to the mean of all (m-estimate, Cestnik 1990)
PRICES = 33  # prices on cost from none to more than any gain is worth


def prior_choices(
    segments: Sequence[str | None], score: Floats, cost: Floats, groups: Groups | None, seed: int
) -> list[Ints]:
    """Return, for each price on cost, the tier (a column) of every row; price 0 first.

    `score` and `cost` have shape (n, tiers), all known. Empty with fewer than two segments, or
    with fewer groups than folds. No row chooses for itself: its fold is fitted on the others, and
    a group lies in one fold.
    """
    names = [segment or "" for segment in segments]
    folds = _folds(np.arange(score.shape[0]) if groups is None else groups, seed)
    if len(set(names)) < 2 or folds is None:
        return []
    codes = np.unique(names, return_inverse=True)[1].astype(np.int64)
    expected, price = np.empty_like(score), np.empty_like(cost)
    for fold in range(FOLDS):
        here, others = folds == fold, folds != fold
        expected[here] = _shrunk(score[others], codes[others], codes[here])
        price[here] = cost[others].mean(axis=0)
    return [(expected - x * price).argmax(axis=1) for x in _prices(price)]


def _folds(codes: Ints, seed: int) -> Ints | None:
    size = int(codes.max()) + 1 if codes.size else 0
    if size < FOLDS:
        return None
    order = np.random.default_rng(seed).permutation(size)
    return np.asarray((order % FOLDS)[codes], dtype=np.int64)


def _shrunk(score: Floats, known: Ints, asked: Ints) -> Floats:
    """Return the shrunk mean score of each tier in the asked segments, shape (asked, tiers)."""
    size = int(max(known.max(), asked.max())) + 1
    overall = score.mean(axis=0)
    count = np.bincount(known, minlength=size)[:, None]
    total = np.array([np.bincount(known, column, size) for column in score.T]).T
    return np.asarray(((total + PRIOR_ROWS * overall) / (count + PRIOR_ROWS))[asked])


def _prices(price: Floats) -> Floats:
    """Return prices (score a dollar): none, then growing until the cheapest tier always wins."""
    mean = np.sort(price.mean(axis=0))
    steps = np.diff(mean)[np.diff(mean) > 0]
    if not steps.size:
        return np.zeros(1)
    most, least = 1.0 / steps.min(), 1e-3 / (mean[-1] - mean[0])
    return np.concatenate([[0.0], np.geomspace(least, most, PRICES)])
