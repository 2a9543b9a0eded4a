"""How many labelled rows a promise needs, by the very test that will be run.

Chances are summed over all outcomes, not drawn, so that two calls agree. Assumed rates are the
caller's: from a pilot, or a question of "what if".
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from stepdown.errors import DataError
from stepdown.stats import bounds, paired_exact
from stepdown.stats.arrays import Bools, Floats, probability

ROW_CAP = 20_000
Test = Literal["exact", "betting"]


@dataclass(frozen=True, slots=True)
class LabelsNeeded:
    """The fewest rows with the power asked for, or None when even `cap` rows have less.

    `power` is what `rows` (or, about, `cap`) rows reach; `method` names the test planned with.
    """

    rows: int | None
    power: float
    cap: int
    method: str


def labels_needed(
    p_minus: float,
    p_plus: float,
    epsilon: float,
    delta: float,
    power: float = 0.8,
    *,
    cap: int = ROW_CAP,
    test: Test = "exact",
) -> LabelsNeeded:
    """Return the rows that let non-inferiority at epsilon pass with the power asked for.

    `p_minus` and `p_plus` are the assumed rates of rows on which the candidate scores 1 less and
    1 more than the ceiling (true loss: p_minus - p_plus). `delta` is what the start of the path
    may spend. For 0/1 scores and independent rows. Source: `paired_exact`, `bounds`.
    """
    _rates(p_minus, p_plus)
    fewest = bounds.n_min(1.0 - probability("epsilon", epsilon), delta)

    def found_with(rank: float | None) -> LabelsNeeded:
        def reached(n: int) -> float:
            return _chance(_region(n, epsilon, delta, rank), p_minus, p_plus)

        return _search(reached, fewest, cap, power, test)

    if test == "betting":
        return found_with(None)

    def reached_exactly(n: int) -> float:
        return noninferiority_power(n, p_minus, p_plus, epsilon, delta)

    found = _settle(found_with, epsilon, delta)
    return found if found.rows is None else _grow(found, reached_exactly, power)


def noninferiority_power(
    n: int, p_minus: float, p_plus: float, epsilon: float, delta: float, *, test: Test = "exact"
) -> float:
    """Return the chance that n rows pass the test when the rates are as assumed.

    0 for no rows. Source: the sum over all outcomes that pass.
    """
    _rates(p_minus, p_plus)
    if n <= 0:
        return 0.0
    rank = _critical_rank(n, epsilon, delta) if test == "exact" else None
    return _chance(_region(n, epsilon, delta, rank), p_minus, p_plus)


def labels_needed_kept(
    accuracy: float, target: float, delta: float, power: float = 0.8, *, cap: int = ROW_CAP
) -> LabelsNeeded:
    """Return the rows, inside the kept region, that certify an accuracy above `target`.

    `accuracy` is the assumed one in that region; divide by the share kept for rows of traffic.
    Source: the exact binomial test of `bounds.accuracy_p_value`.
    """

    def reached(n: int) -> float:
        return kept_accuracy_power(n, accuracy, target, delta)

    if accuracy <= target:
        return LabelsNeeded(None, reached(cap), cap, "exact binomial")
    return _search(reached, bounds.n_min(target, delta), cap, power, "exact binomial")


def kept_accuracy_power(n: int, accuracy: float, target: float, delta: float) -> float:
    """Return the chance that n kept rows certify `target` when their accuracy is as assumed."""
    if not 0.0 <= accuracy <= 1.0:
        raise DataError(f"accuracy is {accuracy!r}; it must lie in 0..1.")
    needed = bounds.accuracy_needed(n, target, delta) if n > 0 else None
    if needed is None:
        return 0.0
    if accuracy in {0.0, 1.0}:
        return float(accuracy == 1.0 or needed == 0)
    return float(bounds.accuracy_p_value(needed, n, accuracy))


def _search(
    reached: Callable[[int], float], fewest: int, cap: int, power: float, method: str
) -> LabelsNeeded:
    """Double from the fewest rows that could do, then bisect to 2%.

    Power rises with n up to the saw teeth of counting; the answer is a size that has the power,
    not always the very first one.
    """
    probability("power", power)
    low, high = max(fewest - 1, 0), min(max(fewest, 1), cap)
    while reached(high) < power:
        if high >= cap:
            return LabelsNeeded(None, reached(cap), cap, method)
        low, high = high, min(2 * high, cap)
    while high - low > max(1, high // 50):
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= power else (middle, high)
    return LabelsNeeded(high, reached(high), cap, method)


def _settle(
    found_with: Callable[[float], LabelsNeeded], epsilon: float, delta: float
) -> LabelsNeeded:
    """Find the rows for a critical rank, compute the rank at these rows, and repeat.

    The rank hardly depends on n, so two rounds settle it; computing it at every size is slow.
    """
    found = found_with(_large_sample_rank(delta))
    for _ in range(2):
        if found.rows is not None:
            found = found_with(_critical_rank(found.rows, epsilon, delta))
    return found


def _grow(found: LabelsNeeded, reached: Callable[[int], float], power: float) -> LabelsNeeded:
    """Add 2% of rows at a time until the test itself has the power asked for."""
    rows = found.rows or 0
    while reached(rows) < power and rows < found.cap:
        rows = min(found.cap, rows + max(1, rows // 50))
    enough = reached(rows) >= power
    return replace(found, rows=rows if enough else None, power=reached(rows))


def _large_sample_rank(delta: float) -> float:
    from scipy import special

    return float(special.ndtri(probability("delta", delta)) ** 2 / 2.0)


_critical_rank = lru_cache(maxsize=256)(paired_exact.critical_rank)


def _chance(region: paired_exact.Region, p_minus: float, p_plus: float) -> float:
    return float(paired_exact.chance(region, np.array([p_minus]), np.array([p_plus]))[0])


def _region(n: int, epsilon: float, delta: float, rank: float | None) -> paired_exact.Region:
    """Return the outcomes that pass: by the exact test's rank or, without one, by betting."""
    if rank is not None:
        return paired_exact.region_above(rank, n, epsilon)
    return _betting_region(n, epsilon, delta)


def _betting_region(n: int, epsilon: float, delta: float) -> paired_exact.Region:
    """Return the counts at which the betting test (without order) passes."""
    limit = -math.log(delta)

    def passes(minus: Floats, plus: Floats) -> Bools:
        log_e = bounds.difference_log_evalue_counts(minus, n - minus - plus, plus, epsilon)
        return np.asarray(log_e >= limit)

    return paired_exact.staircase(n, passes)


def _rates(p_minus: float, p_plus: float) -> None:
    if min(p_minus, p_plus) < 0.0 or p_minus + p_plus > 1.0:
        raise DataError(f"rates {p_minus} and {p_plus} must be at least 0 and at most 1 together.")
