"""The interval of a mean of scores from their count and sum alone. It needs no arrays, so a process
that only shows figures does without numpy. For display, not for promises.
"""

from __future__ import annotations

from math import isfinite, sqrt
from statistics import NormalDist

from stepdown.errors import DataError


def sum_interval(total: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the ends of the Wilson interval of the mean of `n` scores in 0..1 that sum to `total`.

    Assumes independent scores. Of all scores with this mean those that are 0 or 1 vary most
    (variance p(1-p)), so for other scores the interval is wider than it need be.

    Raises:
        DataError: `n` is below 1, `total` is not between 0 and `n`, or `level` not between 0 and 1.

    Source: Wilson (1927); the variance bound is Bhatia and Davis (2000).
    """
    if n < 1 or not isfinite(total) or not -1e-9 <= total <= n * (1 + 1e-9) or not 0 < level < 1:
        raise DataError(f"{total} is no sum of {n} scores between 0 and 1, at level {level}.")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, width = min(1.0, max(0.0, total / n)), z * z / n
    centre = (share + width / 2) / (1 + width)
    half = z / (1 + width) * sqrt(share * (1 - share) / n + width / (4 * n))
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high
