"""The ratio of two means of the same rows, such as the share of a bill that is saved."""

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats.arrays import Floats, Groups, group_codes, group_sums, probability
from stepdown.stats.intervals import Interval

METHOD = "Fieller"


def saving_interval(
    cost: ArrayLike, baseline: ArrayLike, groups: Groups | None = None, *, level: float = 0.95
) -> Interval:
    """Return the interval of 1 - mean(cost) / mean(baseline), paired by row.

    Both have shape (n,), 0 or more. With `groups` sums of whole groups stand for rows. Unknown
    below two groups, without spread, and where the baseline is not surely above 0.
    Source: Fieller (1954), with Student's t; assumes means of enough rows to be nearly normal.

    Raises:
        DataError: the two differ in length, or a cost is unknown.
    """
    paid, before = (np.asarray(c, dtype=np.float64) for c in (cost, baseline))
    if paid.shape != before.shape or not (np.isfinite(paid) & np.isfinite(before)).all():
        raise DataError("A saving needs known costs of the policy and the baseline on every row.")
    if groups is not None:
        codes = group_codes(groups, paid.size)
        paid, before = group_sums(paid, codes), group_sums(before, codes)
    ends = _fieller(paid, before, level)
    if ends is None:
        return Interval(None, None, level, METHOD, np.size(cost))
    return Interval(1.0 - ends[1], 1.0 - ends[0], level, METHOD, np.size(cost))


def _fieller(top: Floats, bottom: Floats, level: float) -> tuple[float, float] | None:
    """Return the ratios r at which mean(top - r * bottom) is t standard errors from 0."""
    from scipy import special

    n = top.size
    if n < 2:
        return None
    t = float(special.stdtrit(n - 1, (1.0 + probability("level", level)) / 2.0))
    # Scaled to a mean of 1 each, so that dollars of any size keep their digits.
    scale_top, scale_bottom = float(top.mean()), float(bottom.mean())
    if scale_top <= 0.0 or scale_bottom <= 0.0:
        return None
    (v_top, both), (_, v_bottom) = np.cov(top / scale_top, bottom / scale_bottom) * (t * t / n)
    a, b, c = 1.0 - v_bottom, 1.0 - both, 1.0 - v_top
    root = b * b - a * c
    if a <= 0.0 or root < 0.0 or v_top + v_bottom <= 0.0:
        return None
    ratio = scale_top / scale_bottom
    half = float(np.sqrt(root))
    return ratio * float(b - half) / float(a), ratio * float(b + half) / float(a)
