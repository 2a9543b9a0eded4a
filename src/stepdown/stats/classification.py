"""Figures of a closed label set: precision, recall, F1, agreement beyond chance. Arrays in.

A confusion table has a row for each right label and a column for each given one; the last column
counts answers that are no label: they are missed, and nothing is claimed by them.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from stepdown.stats.arrays import Floats, Ints

Scale = Literal["none", "quadratic"]


def confusion(right: Sequence[int] | Ints, given: Sequence[int] | Ints, labels: int) -> Ints:
    """Return the table of `labels` rows and `labels + 1` columns; a `given` of `labels` is none."""
    pairs = np.asarray(right, dtype=np.int64) * (labels + 1) + np.asarray(given, dtype=np.int64)
    return np.bincount(pairs, minlength=labels * (labels + 1)).reshape(labels, labels + 1)


def precision_recall_f1(table: Ints) -> tuple[Floats, Floats, Floats]:
    """Return these for every label; NaN where one is not defined (never given, never right).

    Source: van Rijsbergen (1979); as sklearn.metrics.precision_recall_fscore_support with
    zero_division=nan.
    """
    hits = np.diag(table).astype(float)
    given, right = table[:, :-1].sum(axis=0), table.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return hits / given, hits / right, 2 * hits / (given + right)


def macro_f1(table: Ints) -> float | None:
    """Return the mean F1 of the labels that occur, as right or as given ones.

    Source: as sklearn.metrics.f1_score(average="macro") with these as its `labels`.
    """
    f1 = precision_recall_f1(table)[2]
    known = f1[~np.isnan(f1)]
    return float(known.mean()) if known.size else None


def micro_f1(table: Ints) -> float | None:
    """Return F1 over all decisions; it is the accuracy where every answer is a label.

    Source: as sklearn.metrics.f1_score(average="micro") with the label set as its `labels`.
    """
    given, right = table[:, :-1].sum(), table.sum()
    return float(2 * np.trace(table) / (given + right)) if given + right else None


def accuracy(table: Ints) -> float | None:
    """Return the share of right answers, over all rows."""
    total = table.sum()
    return float(np.trace(table) / total) if total else None


def kappa(table: Ints, weights: Scale = "none") -> float | None:
    """Return Cohen's kappa over the rows with a label; None where chance alone agrees fully.

    With `quadratic` labels are places on a scale, and a miss costs its distance squared.
    Source: Cohen (1960), Cohen (1968); as sklearn.metrics.cohen_kappa_score.
    """
    square = table[:, :-1].astype(float)
    total, places = square.sum(), np.arange(square.shape[0])
    if not total:
        return None
    apart = np.subtract.outer(places, places)
    cost = (apart != 0).astype(float) if weights == "none" else apart.astype(float) ** 2
    chance = np.outer(square.sum(axis=1), square.sum(axis=0)) / total
    expected = float((cost * chance).sum())
    return 1.0 - float((cost * square).sum()) / expected if expected else None
