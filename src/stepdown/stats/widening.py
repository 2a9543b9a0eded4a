"""When agreement seen beside live traffic is enough to widen, however often somebody looks.

Arrays in, numbers out. Assumptions: requests are drawn independently from the traffic that will be
served, in the order in which they came.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepdown.stats.arrays import Floats
from stepdown.stats.bounds import log_evalue, mean_lower_bound

MOST = 200_000  # rows that are looked ahead; beyond it the answer is "not at this agreement"


@dataclass(frozen=True)
class Widening:
    """What agreement says: `bound` is its lower end at chance `delta`, valid at every look.

    `more` is how many further rows would pass at the agreement seen so far, None where none would.
    """

    n: int
    agreed: int
    target: float
    delta: float
    bound: float
    more: int | None

    @property
    def is_enough(self) -> bool:
        """Whether agreement above the target is proved."""
        return self.more == 0


def widening(agreed: Sequence[bool], target: float, delta: float) -> Widening:
    """Return whether agreement is above `target`, and how many more rows would show it.

    Source: Waudby-Smith and Ramdas (2023), as `bounds.log_evalue` with `anytime`; Ville (1939).
    """
    rows = np.asarray(agreed, dtype=np.float64)
    bound = mean_lower_bound(rows, delta, anytime=True) if rows.size else 0.0
    more = 0 if is_shown(rows, target, delta) else _more(rows, target, delta)
    return Widening(rows.size, int(rows.sum()), target, delta, bound, more)


def is_shown(rows: Floats, target: float, delta: float) -> bool:
    """Return whether rows in their order show a mean above `target`, at whatever look."""
    return rows.size > 0 and log_evalue(rows, target, anytime=True) >= -math.log(delta)


def _more(rows: Floats, target: float, delta: float) -> int | None:
    """Return the fewest further rows, agreeing as evenly as those so far, that would pass.

    Before the first row the question is asked of rows that all agree.
    """
    rate = float(rows.mean()) if rows.size else 1.0
    if rate <= target:
        return None
    low, high = 0, 64
    while not _passes(rows, rate, high, target, delta):
        low, high = high, 2 * high
        if high > MOST:
            return None
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        if _passes(rows, rate, middle, target, delta):
            high = middle
        else:
            low = middle
    return high


def _passes(rows: Floats, rate: float, more: int, target: float, delta: float) -> bool:
    steps = np.floor(rate * np.arange(more + 1) + 1e-9)
    return is_shown(np.concatenate([rows, np.diff(steps)]), target, delta)
