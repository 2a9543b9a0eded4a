"""Cost against score: the static hull, the oracle, and what a ranking of queries is worth.

It does not know tiers or policies: a column is whatever may answer, a row is a query. Mixing two
points at random is always allowed, so every frontier is concave; more money never hurts, so it is
flat beyond its dearest point.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats.arrays import Floats, Groups, Ints, bounded, vector
from stepdown.stats.bootstrap import bootstrap_intervals
from stepdown.stats.intervals import Interval


@dataclass(frozen=True, slots=True)
class Frontier:
    """A concave frontier: its corners from the cheapest to the best, as cost and score.

    `index` says which of the points handed in a corner is (for the oracle: its own place).
    """

    cost: Floats
    score: Floats
    index: Ints


def hull(costs: ArrayLike, scores: ArrayLike) -> Frontier:
    """Return the upper concave envelope of points: what the best random mix of them scores.

    `costs` and `scores` have shape (k,). It starts at the cheapest point (of these the best) and
    ends at the best (of these the cheapest). Source: Andrew (1979), monotone chain.
    """
    cost, score = _amounts(costs), vector("scores", scores, 0.0, 1.0)
    if cost.ndim != 1 or cost.shape != score.shape or not cost.size:
        raise DataError(f"{cost.size} costs and {score.size} scores: at least one pair is needed.")
    corners: list[int] = []
    for place in np.lexsort((-score, cost)).tolist():
        if corners and score[place] <= score[corners[-1]]:
            continue
        while len(corners) > 1 and _sags(cost, score, corners[-2], corners[-1], place):
            corners.pop()
        corners.append(place)
    index = np.array(corners, dtype=np.int64)
    return Frontier(cost[index], score[index], index)


def _sags(cost: Floats, score: Floats, first: int, middle: int, last: int) -> bool:
    """Say whether the middle point lies on or under the line between the other two."""
    rise = (score[middle] - score[first]) * (cost[last] - cost[first])
    return bool(rise <= (score[last] - score[first]) * (cost[middle] - cost[first]))


def hull_score(cost: ArrayLike, frontier: Frontier) -> Floats:
    """Return the frontier's score at each cost; NaN below its cheapest point, flat beyond."""
    asked = _amounts(cost)
    found = np.interp(asked, frontier.cost, frontier.score)
    return np.where(asked < frontier.cost[0] * (1.0 - 1e-12), np.nan, found)


def hull_mix(cost: float, frontier: Frontier) -> tuple[int, int, float] | None:
    """Return the two points whose mix has this cost, and the share (0..1) of the dearer one.

    The points are places among those handed to `hull`. None below the cheapest point.
    """
    if np.isnan(hull_score(cost, frontier)):
        return None
    right = int(np.searchsorted(frontier.cost, cost, side="right"))
    if right in {0, frontier.cost.size}:
        end = int(frontier.index[min(right, frontier.cost.size - 1)])
        return end, end, 1.0
    low, high = frontier.cost[right - 1], frontier.cost[right]
    share = float((cost - low) / (high - low))
    return int(frontier.index[right - 1]), int(frontier.index[right]), share


def oracle(scores: ArrayLike, costs: ArrayLike) -> Frontier:
    """Return the frontier of who picks, for each query, the tier with the best score - x * cost.

    `scores` has shape (n, k); `costs` (n, k), or (k,) where a tier always costs the same. A tier
    whose score or cost is NaN is not offered for that query. It is exact along all x >= 0: each
    query's own envelope is cut into steps, and the steps are bought in the order of their slope.
    Source: Dantzig (1957), the fractional knapsack.
    """
    score, cost = _offers(scores, costs)
    at = _cheapest(score, cost)
    rows = np.arange(score.shape[0])
    start_cost, start_score = cost[rows, at].mean(), score[rows, at].mean()
    more_cost, more_score = _steps(score, cost, at)
    slope, place = np.unique(-more_score / more_cost, return_inverse=True)
    by_slope = (np.bincount(place, x, slope.size) for x in (more_cost, more_score))
    paid, gained = (np.cumsum(part) / score.shape[0] for part in by_slope)
    corners = np.arange(slope.size + 1)
    return Frontier(
        np.concatenate([[start_cost], start_cost + paid]),
        np.concatenate([[start_score], start_score + gained]),
        corners.astype(np.int64),
    )


def _offers(scores: ArrayLike, costs: ArrayLike) -> tuple[Floats, Floats]:
    score = np.asarray(scores, dtype=np.float64)
    if score.ndim != 2 or not score.size:
        raise DataError(f"scores: expected shape (queries, tiers), got {score.shape}.")
    cost = np.broadcast_to(np.asarray(costs, dtype=np.float64), score.shape)
    known = ~(np.isnan(score) | np.isnan(cost))
    if not known.any(axis=1).all():
        raise DataError(
            f"{int((~known.any(axis=1)).sum())} queries have no tier with a known score and cost.",
            "Leave them out and count them.",
        )
    bounded("scores", score[known], 0.0, 1.0)
    _amounts(cost[known])
    return np.where(known, score, -np.inf), np.where(known, cost, np.inf)


def _cheapest(score: Floats, cost: Floats) -> Ints:
    """Return the cheapest tier of each query, of these the best."""
    best = np.where(cost == cost.min(axis=1, keepdims=True), score, -np.inf)
    return np.asarray(best.argmax(axis=1), dtype=np.int64)


def _steps(score: Floats, cost: Floats, at: Ints) -> tuple[Floats, Floats]:
    """Return the cost and the gain of every step along the envelopes of the queries."""
    rows, steps = np.arange(score.shape[0]), []
    for _ in range(score.shape[1] - 1):
        more_cost = cost[rows] - cost[rows, at][:, None]
        gain = score[rows] - score[rows, at][:, None]
        worth = (gain > 0) & np.isfinite(more_cost) & (more_cost > 0)
        slope = np.where(worth, gain / np.where(worth, more_cost, 1.0), -1.0)
        to = slope.argmax(axis=1)
        goes = worth[np.arange(rows.size), to]
        here = np.flatnonzero(goes)
        steps.append((more_cost[here, to[here]], gain[here, to[here]]))
        rows, at = rows[here], to[here]
    if not steps:
        return np.empty(0), np.empty(0)
    return np.concatenate([s[0] for s in steps]), np.concatenate([s[1] for s in steps])


def area_share(policy: Frontier, static: Frontier, best: Frontier) -> float | None:
    """Return the share of the area between the static hull and the oracle that a policy closes.

    The area runs over the costs that all three can be had for: from the dearest of their starts to
    the dearest corner of the static hull. Below 0: worse than the hull. None without such an area.
    """
    low = max(f.cost[0] for f in (policy, static, best))
    high = static.cost[-1]
    if high <= low:
        return None
    base = _area(static, low, high)
    room = _area(best, low, high) - base
    return float((_area(policy, low, high) - base) / room) if room > 1e-15 * high else None


def _area(frontier: Frontier, low: float, high: float) -> float:
    inside = frontier.cost[(frontier.cost > low) & (frontier.cost < high)]
    at = np.concatenate([[low], inside, [high]])
    return float(np.trapezoid(np.interp(at, frontier.cost, frontier.score), at))


@dataclass(frozen=True, slots=True)
class DeferralCurve:
    """The mean score when a growing share of queries goes to the strong answer.

    `share` runs from 0 to 1; the score is linear between two corners.
    """

    share: Floats
    score: Floats

    @property
    def gap(self) -> float:
        """What the strong answers score more than the weak."""
        return float(self.score[-1] - self.score[0])


def deferral_curve(ranking: ArrayLike, weak: ArrayLike, strong: ArrayLike) -> DeferralCurve:
    """Return the curve of a ranking: the queries with the largest value go first.

    `ranking`, `weak`, `strong` have shape (n,); a larger ranking promises a larger gain (for a
    threshold on a confidence: minus the confidence). An unknown (NaN) goes first, as it would in a
    cascade. Queries that tie go together, which is the mean over all orders of them.
    Source: Ong et al. (2024), RouteLLM, section 3; Gupta et al. (2024), the deferral curve.
    """
    return _curve(*_ranked(ranking, weak, strong))


def _ranked(
    ranking: ArrayLike, weak: ArrayLike, strong: ArrayLike
) -> tuple[Ints, Floats, Floats, int]:
    low, high = vector("weak", weak, 0.0, 1.0), vector("strong", strong, 0.0, 1.0)
    order = np.asarray(ranking, dtype=np.float64)
    if not order.shape == low.shape == high.shape or not low.size:
        raise DataError(f"{order.size} ranks, {low.size} weak and {high.size} strong scores.")
    values, codes = np.unique(-np.where(np.isnan(order), np.inf, order), return_inverse=True)
    return codes.astype(np.int64), low, high - low, values.size


def _curve(codes: Ints, weak: Floats, gain: Floats, size: int) -> DeferralCurve:
    count = np.bincount(codes, minlength=size) / codes.size
    gained = np.bincount(codes, gain, size) / codes.size
    share = np.concatenate([[0.0], np.cumsum(count)])
    score = weak.mean() + np.concatenate([[0.0], np.cumsum(gained)])
    return DeferralCurve(share / share[-1], score)


def audc(curve: DeferralCurve) -> float:
    """Return the area under the deferral curve: the mean score over the share of strong calls.

    Source: Gupta et al. (2024), Language Model Cascades: Token-Level Uncertainty and Beyond.
    """
    return float(np.trapezoid(curve.score, curve.share))


def apgr(curve: DeferralCurve) -> float | None:
    """Return the average performance gap recovered: 1 all gain at no cost, 0.5 a random order.

    None where the strong answers are no better. Source: Ong et al. (2024), eq. 6, as the exact
    integral and not at ten points.
    """
    return (audc(curve) - float(curve.score[0])) / curve.gap if curve.gap > 0 else None


def cpt(curve: DeferralCurve, shares: Sequence[float] = (0.5, 0.8)) -> tuple[float | None, ...]:
    """Return, for each share of the gap, the least share of strong calls that recovers it.

    None where the strong answers are no better. Source: Ong et al. (2024), CPT(x%).
    """
    return tuple(_first_reaching(curve, share) for share in shares)


def _first_reaching(curve: DeferralCurve, asked: float) -> float | None:
    if curve.gap <= 0:
        return None
    target = curve.score[0] + bounded("share", asked, 0.0, 1.0) * curve.gap
    place = int(np.argmax(curve.score >= target - 1e-12))
    if place == 0:
        return 0.0
    low, high = curve.score[place - 1], curve.score[place]
    part = min(1.0, float((target - low) / (high - low)))
    return float(curve.share[place - 1] + part * (curve.share[place] - curve.share[place - 1]))


def deferral_intervals(
    ranking: ArrayLike,
    weak: ArrayLike,
    strong: ArrayLike,
    figures: Callable[[DeferralCurve], Sequence[float | None]],
    groups: Groups | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Interval, ...]:
    """Return the interval of each figure of the deferral curve, by a bootstrap over queries."""
    codes, low, gain, size = _ranked(ranking, weak, strong)

    def of(rows: Ints) -> Sequence[float | None]:
        return figures(_curve(codes[rows], low[rows], gain[rows], size))

    return bootstrap_intervals(of, codes.size, groups, level=level, seed=seed)


def _amounts(costs: ArrayLike) -> Floats:
    amounts = np.asarray(costs, dtype=np.float64)
    if not (np.isfinite(amounts) & (amounts >= 0)).all():
        raise DataError(
            "A cost is unknown, negative or not finite.", "Count unknown costs; never guess them."
        )
    return amounts
