"""Whether routing pays: the gain over the static hull at equal cost, with its interval.

It knows what policies scored and cost on rows that their fits did not see, not how they decide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from stepdown.certify.fitting import Floats
from stepdown.certify.policies import Routed
from stepdown.certify.states import Known
from stepdown.stats.frontier import Frontier, hull_mix

LEVEL = 0.8  # of the verdict's interval: two-sided, so that each end errs one time in ten


class Verdict(Struct, frozen=True):
    """Whether to route: the mean gain in score over the static hull at equal cost.

    `gain` is averaged over all costs between the ends of the hull; `low` and `high` are the ends
    of its two-sided interval at `level`, cross-fitted and paired by row.
    """

    route: bool
    gain: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    why: str


def gains(known: Known, routed: Sequence[Routed], frontier: Frontier) -> Floats:
    """Return, for each row, its part in the mean gain over the hull at equal cost.

    Each policy is compared with the mix of the hull that costs the same; what a row costs more or
    less than the mean counts at the slope of the hull there. The mean over costs weighs each
    policy by the stretch of the axis next to it.
    """
    spent = np.array([one.price.mean() for one in routed])
    inside = (spent >= frontier.cost[0]) & (spent <= frontier.cost[-1])
    places = [int(i) for i in np.argsort(spent, kind="stable") if inside[i]]
    if not places:
        return np.zeros(known.panel.n)
    weights = _stretches(spent[places], float(frontier.cost[0]), float(frontier.cost[-1]))
    parts = [_gain(known, routed[i], float(spent[i]), frontier) for i in places]
    return np.asarray(weights @ np.array(parts), dtype=np.float64)


def _gain(known: Known, one: Routed, spent: float, frontier: Frontier) -> Floats:
    mix = hull_mix(spent, frontier)
    if mix is None:
        return np.zeros(known.panel.n)
    low, high = known.order[mix[0]], known.order[mix[1]]
    share = mix[2] if low != high else 1.0
    score = (1 - share) * known.panel.score[low] + share * known.panel.score[high]
    price = (1 - share) * known.price[low] + share * known.price[high]
    slope = _slope(spent, frontier)
    return np.asarray(one.score - score - slope * (one.price - price), dtype=np.float64)


def _slope(spent: float, frontier: Frontier) -> float:
    place = min(max(int(np.searchsorted(frontier.cost, spent)), 1), frontier.cost.size - 1)
    rise = frontier.score[place] - frontier.score[place - 1]
    return float(rise / (frontier.cost[place] - frontier.cost[place - 1]))


def _stretches(spent: Floats, low: float, high: float) -> Floats:
    """The weight of each point when the gain is 0 at both ends and linear between points."""
    edges = np.concatenate([[low], spent, [high]])
    return np.asarray((edges[2:] - edges[:-2]) / 2 / (high - low), dtype=np.float64)


def verdict_of(known: Known, routed: Sequence[Routed], frontier: Frontier) -> Verdict:
    """Return the verdict: routing pays when the interval of the gain lies above 0."""
    from scipy import stats

    each = gains(known, routed, frontier)
    sums, size = _by_group(each, known.panel.groups)
    error = float(np.sqrt(sums.var(ddof=1) * sums.size)) / size
    reach = float(stats.t.ppf(0.5 + LEVEL / 2, sums.size - 1)) * error
    gain = float(each.mean())
    low, high = gain - reach, gain + reach
    why = "beats" if low > 0 else "is not shown to beat"
    said = f"Routing {why} the best mix of single tiers at equal cost: {gain:+.4f} of score"
    return Verdict(
        low > 0, gain, low, high, LEVEL, known.panel.n, f"{said} [{low:+.4f}, {high:+.4f}]."
    )


def _by_group(each: Floats, groups: Sequence[str | None]) -> tuple[Floats, int]:
    named = [f"row {place}" if group is None else group for place, group in enumerate(groups)]
    _, codes = np.unique(named, return_inverse=True)
    sums = np.bincount(codes, weights=each - each.mean())
    return np.asarray(sums, dtype=np.float64), each.size


def nothing_to_route(known: Known, corners: Sequence[str], fewest: int) -> Verdict:
    """Return the verdict where no policy could be made, and why."""
    if known.panel.n < fewest:
        why = f"Only {known.panel.n} rows have a score of every tier; {fewest} are needed."
    else:
        why = f"{corners[0]} is the cheapest tier and no other scores more: there is no choice."
    return Verdict(False, None, None, None, LEVEL, known.panel.n, why)
