"""Route or not, and how: candidates along a price of cost, with the static hull always among them.

It sees tune rows only. What it expects of a candidate is cross-fitted: no row is judged by a fit
that saw it. The promise is tested elsewhere, on other rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from msgspec import Struct, structs

from stepdown.certify.fitting import Floats, folds_of
from stepdown.certify.policies import Routed, route_at
from stepdown.certify.states import MOST_TIERS, Estimator, Known, with_size
from stepdown.certify.worth import Verdict, gains, nothing_to_route, verdict_of
from stepdown.core.derived import Derived
from stepdown.core.policy import Action, Clause, Policy, Row, single
from stepdown.core.replay_array import Panel
from stepdown.stats.frontier import Frontier, hull

MOST_ROWS = 8_000  # more are sub-sampled for fitting: a formula has at most some forty numbers
FEWEST_ROWS = 20  # complete rows under which nothing is learned
PRICES = 40  # points along the price of cost
REACH = 20.0  # the prices run from the least slope of the hull / REACH to its largest x REACH
MIXES = 4  # mixes offered between two corners of the hull
SPOILS = 0.5  # standard errors of gain that leaving a tier out must bring for it to go
DRAW = "draw"


class Candidate(Struct, frozen=True):
    """A policy with its formulas and what it is expected to score and cost on the tune rows.

    `score` in 0..1 (None: too few rows to say); `price` a call in units of the mean price of one
    ceiling call (where a cost is unknown: the share of queries that the ceiling must answer);
    `discordant` the share of rows on which its score differs from the ceiling's. All three are
    cross-fitted, so they may order a path. `kind`: `static` or `routed`.
    """

    policy: Policy
    derived: Mapping[str, Derived]
    kind: str
    score: float | None
    price: float
    discordant: float


class Fit(Struct, frozen=True):
    """Everything that was fitted on tune rows: the routed policies along the price of cost.

    `shared` holds the formulas that all of them read: made once (`Panel.with_derived`), they need
    not be made for each policy.
    """

    known: Known
    routed: tuple[Routed, ...]
    frontier: Frontier
    corners: tuple[str, ...]
    verdict: Verdict
    shared: Mapping[str, Derived] = {}


def routing_candidates(
    tune: Panel,
    order: tuple[str, ...],
    ceiling: str,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
    *,
    gated: bool = True,
) -> Iterator[Candidate]:
    """Yield the static hull, and the routed policies that it does not beat.

    `order` is weakest first, the ceiling last. With `gated`, nothing is routed unless the verdict
    on these rows says so. `groups` (default: the panel's) keep rows together that are not
    independent; `seed` is a digest of the data. A mix needs the signal `draw`.
    """
    yield from candidates_of(fit_routing(tune, order, ceiling, groups, seed), order, gated=gated)


def candidates_of(
    fitted: Fit, order: tuple[str, ...], *, gated: bool = True
) -> Iterator[Candidate]:
    """Yield the candidates of a fit: the static hull, and the routed policies if they pay."""
    yield from static_candidates(fitted, order)
    if fitted.verdict.route or not gated:
        yield from routed_candidates(fitted, order)


def worth_routing(
    tune: Panel,
    order: tuple[str, ...],
    ceiling: str,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> Verdict:
    """Return whether a routed policy beats the static hull at equal cost, with the interval."""
    return fit_routing(tune, order, ceiling, groups, seed).verdict


def fit_routing(
    tune: Panel,
    order: tuple[str, ...],
    ceiling: str,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> Fit:
    """Fit the estimates of every state and the policies along the price of cost."""
    known = known_of(tune, order, ceiling, groups, seed)
    if known.panel.n < FEWEST_ROWS:
        alone = Frontier(np.ones(1), np.zeros(1), np.array([len(known.order) - 1]))
        verdict = nothing_to_route(known, (ceiling,), FEWEST_ROWS)
        return Fit(known, (), alone, (ceiling,), verdict)
    means = {t: float(known.panel.score[t].mean()) for t in known.order}
    price = known.mean_price
    frontier = hull([price[t] for t in known.order], [means[t] for t in known.order])
    corners = tuple(known.order[place] for place in frontier.index)
    if len(corners) < 2:
        return Fit(known, (), frontier, corners, nothing_to_route(known, corners, FEWEST_ROWS))
    estimator = Estimator(known)
    routed = _thinned(estimator, frontier)
    verdict = verdict_of(known, routed, frontier)
    return Fit(known, routed, frontier, corners, verdict, estimator.shared)


def _thinned(estimator: Estimator, frontier: Frontier) -> tuple[Routed, ...]:
    """Return the policies among the tiers that pay: one without which more is gained is dropped."""
    known, along = estimator.known, prices(frontier)

    def among(order: tuple[str, ...]) -> tuple[Routed, ...]:
        return tuple(route_at(estimator, x, order) for x in along)

    order, best = known.order, among(known.order)
    gain = gains(known, best, frontier)
    while len(order) > 2 and estimator.learns:
        fewer = [tuple(t for t in order if t != tier) for tier in order[:-1]]
        tried = [(gains(known, made, frontier), made) for made in map(among, fewer)]
        place = int(np.argmax([each.mean() for each, _ in tried]))
        less = gain - tried[place][0]
        if less.mean() > -SPOILS * less.std() / np.sqrt(less.size):
            break
        order, (gain, best) = fewer[place], tried[place]
    return best


def known_of(
    tune: Panel,
    order: tuple[str, ...],
    ceiling: str,
    groups: Sequence[str | None] | None,
    seed: int,
) -> Known:
    """Return the rows of the fit: scored and priced for every tier that is kept."""
    tiers = tuple(t for t in order if t in tune.score and (t == ceiling or _share(tune, t) > 0.5))
    complete = np.all([~np.isnan(tune.score[t]) & tune.available[t] for t in tiers], axis=0)
    rows = np.flatnonzero(complete)
    if rows.size > MOST_ROWS:
        rows = np.sort(np.random.default_rng([seed, 4]).choice(rows, MOST_ROWS, replace=False))
    panel = with_size(tune.take(rows))
    if groups is not None:
        panel = structs.replace(panel, groups=tuple(groups[int(i)] for i in rows))
    if panel.n < FEWEST_ROWS:
        return Known(panel, tiers, {}, np.zeros(panel.n, dtype=np.int64))
    price = _prices(panel, tiers, ceiling)
    kept = _pruned(panel, tiers, ceiling, price)
    return Known(panel, kept, {t: price[t] for t in kept}, folds_of(panel.groups, seed))


def _share(panel: Panel, tier: str) -> float:
    known = ~np.isnan(panel.score[tier]) & panel.available[tier]
    return float(known.sum()) / max(1, panel.n)


def _prices(panel: Panel, tiers: Sequence[str], ceiling: str) -> dict[str, Floats]:
    """Costs in units of the ceiling's mean; where one is unknown, ceiling calls are counted."""
    costs = {tier: panel.cost_usd[tier] for tier in tiers}
    whole = float(np.mean(costs[ceiling]))
    if not whole > 0 or any(np.isnan(column).any() for column in costs.values()):
        return {tier: np.full(panel.n, float(tier == ceiling)) for tier in tiers}
    return {tier: column / whole for tier, column in costs.items()}


def units(panel: Panel, order: Sequence[str], ceiling: str) -> Panel:
    """Return the panel with prompt sizes, and costs in the units of `Candidate.price`."""
    made, panel = _prices(panel, order, ceiling), with_size(panel)
    return structs.replace(panel, cost_usd={**panel.cost_usd, **made})


def _pruned(
    panel: Panel, tiers: tuple[str, ...], ceiling: str, price: Mapping[str, Floats]
) -> tuple[str, ...]:
    """Keep the ceiling, the corners of the hull, and the cheapest of the rest, up to MOST_TIERS.

    Without answers or signals every tier can stay: there are no states to count.
    """
    if len(tiers) <= MOST_TIERS or not _tells(panel, tiers):
        return tiers
    cost = [float(price[t].mean()) for t in tiers]
    corners = hull(cost, [float(panel.score[t].mean()) for t in tiers]).index
    first = [ceiling, *(tiers[i] for i in reversed(corners))]
    rest = sorted(tiers, key=lambda t: float(price[t].mean()))
    kept = list(dict.fromkeys([*first, *rest]))[:MOST_TIERS]
    return tuple(t for t in tiers if t in kept)


def _tells(panel: Panel, tiers: Sequence[str]) -> bool:
    known = [t for t in tiers if t in panel.answers and (panel.answers[t] >= 0).any()]
    read = any(name.startswith(f"{tier}.") for name in panel.signals for tier in tiers)
    return read or len(known) > 1


def prices(frontier: Frontier) -> list[float]:
    """Return the prices of one ceiling call, in score, along which policies are made."""
    slopes = np.diff(frontier.score) / np.diff(frontier.cost)
    return [0.0, *np.geomspace(slopes.min() / REACH, slopes.max() * REACH, PRICES).tolist()]


def static_candidates(fitted: Fit, order: tuple[str, ...]) -> Iterable[Candidate]:
    """Yield the corners of the static hull, and mixes of neighbours by the draw."""
    known = fitted.known
    if not known.price:  # too few rows to know anything: the ceiling
        policy = structs.replace(single(fitted.corners[0]), tiers=order)
        yield Candidate(policy, {}, "static", None, 1.0, 0.0)
        return
    price = known.mean_price
    score = {t: float(known.panel.score[t].mean()) for t in known.order}
    apart = {t: _apart(known.panel.score[t], known) for t in known.order}
    for tier in fitted.corners:
        policy = structs.replace(single(tier), tiers=order)
        yield Candidate(policy, {}, "static", score[tier], price[tier], apart[tier])
    for low, high in pairwise(fitted.corners):
        for share in (np.arange(1, MIXES + 1) / (MIXES + 1)).tolist():
            at = [share * one[high] + (1 - share) * one[low] for one in (score, price, apart)]
            yield Candidate(mix(low, high, share, order), {}, "static", *at)


def mix(low: str, high: str, share: float, order: tuple[str, ...]) -> Policy:
    """Return the policy that asks `high` for a random `share` of queries, `low` for the rest.

    Where the draw is not known `high` is asked, so that a gap never makes an answer worse.
    """
    cheaper = Clause(DRAW, share, Action("call", low), "mix")
    entry = Row(called=(), when=(cheaper,), otherwise=Action("call", high), reason="mix")
    ends = [
        Row(called=(t,), otherwise=Action("accept", t), reason="last_tier") for t in (low, high)
    ]
    return Policy(tiers=order, rows=(entry, *ends))


def routed_candidates(fitted: Fit, order: tuple[str, ...]) -> Iterable[Candidate]:
    """Yield the routed policies, cheapest first, of those that cost the same the best.

    They are not thinned to those that look best here: among many on few rows, these were lucky.
    """
    best: dict[float, Routed] = {}
    for one in fitted.routed:
        spent = round(float(one.price.mean()), 4)
        if spent not in best or one.score.mean() > best[spent].score.mean():
            best[spent] = one
    for spent, one in sorted(best.items()):
        policy = structs.replace(one.policy, tiers=order)
        apart = _apart(one.score, fitted.known)
        yield Candidate(policy, one.derived, "routed", float(one.score.mean()), spent, apart)


def _apart(score: Floats, known: Known) -> float:
    return float(np.mean(score != known.panel.score[known.order[-1]]))
