"""Split training rows into folds so that rows that belong together stay together."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy import intp
    from numpy.typing import NDArray


def assign_folds(
    labels: Sequence[str], groups: Sequence[Hashable], n_folds: int, seed: int
) -> "NDArray[intp]":
    """Return a fold number for each row, at most `n_folds` of them, all rows of a group in one.

    Groups are dealt out label by label to the smallest fold, so that folds are alike in size and
    in labels. Fewer groups than folds gives as many folds as groups.
    """
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    draw = np.random.default_rng(seed).random(len(members))
    order = sorted(zip(members.values(), draw, strict=True), key=lambda m: (labels[m[0][0]], m[1]))
    sizes = [0] * min(n_folds, len(members))
    folds = np.empty(len(labels), dtype=np.intp)
    for rows, _ in order:
        smallest = sizes.index(min(sizes))
        folds[rows] = smallest
        sizes[smallest] += len(rows)
    return folds
