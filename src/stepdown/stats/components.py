"""How much of a score's variance lies between samples, and how much within one asked again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Components:
    """Variances of a score. `n` samples were asked at least twice and have two scores or more.

    `within` is what asking the same again would change; `between` what other samples would. Asking
    `k` times leaves the mean of `n` samples with the variance (between + within / k) / n.
    """

    within: float
    between: float
    n: int


def components(scores: ArrayLike) -> Components | None:
    """Return the variances of scores with one row a sample and one column a repeat.

    NaN marks an unknown score. None below two samples with two scores.
    Source: Searle, Casella and McCulloch (1992), section 3.6, the analysis of variance of a one-way
    random model; for evals Miller (2024), "Adding Error Bars to Evals", section 3.
    """
    table = np.asarray(scores, dtype=np.float64)
    counts = (~np.isnan(table)).sum(axis=1)
    table, counts = table[counts >= 2], counts[counts >= 2]
    if counts.size < 2:
        return None
    means = np.nansum(table, axis=1) / counts
    spread = np.nansum((table - means[:, None]) ** 2, axis=1)
    within = float(spread.sum() / (counts - 1).sum())
    between = float(np.var(means, ddof=1) - within * np.mean(1.0 / counts))
    return Components(within, max(0.0, between), int(counts.size))
