"""Search on tune rows: which policies there are, what they cost, and the path to be certified.

It knows nothing of the certify rows; what it chooses is only an order and a place to start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from math import inf

import msgspec
import numpy as np
from msgspec import Struct

from stepdown.certify.promises import Floats, Measure
from stepdown.core.derived import Derived, agreement
from stepdown.core.outcome import BOUGHT
from stepdown.core.policy import Action, Clause, Policy, Row, cascade, confidence_of, single
from stepdown.core.replay_array import Panel, ReplayedArray, replay_array
from stepdown.stats.sequence import threshold_grid


class Standing(Struct, frozen=True):
    """How a policy stands with one promise on tune rows: it orders and places, it proves nothing.

    `shortfall`: by how much the promise is missed (negative: kept with room), half as observed and
    half as the confidence expects it; `square`: mean square of the differences; `rows` that count.
    """

    shortfall: float
    square: float
    rows: int

    def error(self, n_tune: int, n_certify: int) -> float:
        """Return the standard error to expect on `n_certify` rows, with one pseudo-loss against
        overconfidence in few tune rows.
        """
        square = (self.square * self.rows + 1) / (self.rows + 1)
        expected = max(1.0, n_certify * self.rows / max(1, n_tune))
        return float(np.sqrt(square / expected))


class Searched(Struct, frozen=True, kw_only=True):
    """A policy with what it would have done on the tune rows.

    `cost_usd` and `latency_s` a call (None: unknown), `score` in 0..1; `loss` against the ceiling,
    half as observed and half as the confidence expects it; `kept` the share of queries that the
    ceiling did not have to answer; `derived` the formulas of the signals that the policy reads;
    `standings` one for each promise.
    """

    policy: Policy
    cost_usd: float | None
    score: float
    loss: float
    discordant: float
    kept: float
    latency_s: float | None = None
    derived: Mapping[str, Derived] = {}
    standings: tuple[Standing, ...] = ()

    @property
    def risk(self) -> float:
        """What orders the path: the shortfall, in standard errors where promises compete."""
        if len(self.standings) > 1:
            return max(s.shortfall / s.error(1, 1) for s in self.standings)
        return self.standings[0].shortfall if self.standings else self.loss


def strength(table: Panel, tiers: Sequence[str], ceiling: str) -> tuple[str, ...]:
    """Return the tiers by their score on the tune rows, weakest first, the ceiling last."""
    lower = [tier for tier in tiers if tier != ceiling]
    unknown = np.empty(0)
    return (*sorted(lower, key=lambda t: _mean(table.score.get(t, unknown))), ceiling)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else -1.0


def candidates(
    table: Panel, order: tuple[str, ...], *, pair_step: float = 0.1, step: float = 0.01
) -> Iterable[Policy]:
    """Yield every policy that is searched: one tier alone, and cascades of one or two small tiers
    before the ceiling, over a grid of thresholds (quantiles of the unlabelled confidences).
    """
    ceiling = order[-1]
    seen = [tier for tier in order[:-1] if tier in table.available]
    lower = [tier for tier in seen if table.available[tier].any()]
    for tier in lower:
        yield _ordered(single(tier), order)
        for threshold in _grid(table, tier, step):
            yield _ordered(cascade((tier, ceiling), (threshold,)), order)
    coarse = {tier: _grid(table, tier, pair_step) for tier in lower}
    for first, second in combinations(lower, 2):
        for levels in product(coarse[first], coarse[second]):
            yield _ordered(cascade((first, second, ceiling), levels), order)


def bought_cascades(
    table: Panel, order: tuple[str, ...], bought: Mapping[str, str], *, step: float = 0.1
) -> Iterable[Policy]:
    """Yield cascades that buy a signal where a tier is neither sure nor hopeless.

    `bought` maps a signal to the tier that it is about. A tier keeps what it is sure of by itself;
    of the rest it keeps what the bought signal vouches for, and the ceiling answers what is left.
    """
    for name, tier in bought.items():
        values = table.signals.get(name)
        if values is None or tier not in order[:-1] or np.isnan(values).all():
            continue
        sure = [inf, *_grid(table, tier, step)]
        vouched = np.unique(np.nanquantile(values, np.arange(0.1, 1.0, 0.2))).tolist()
        for own in sure:
            for level in vouched:
                yield _ordered(_buying(tier, own, name, level, order[-1]), order)


def _buying(tier: str, own: float, name: str, level: float, ceiling: str) -> Policy:
    keep, ask = Action("accept", tier), Action("call", ceiling)
    sure = Clause(confidence_of(tier), own, keep)
    alone = (tier, f"{BOUGHT}{name}")
    rows = (
        Row(called=(), otherwise=Action("call", tier), reason="entry"),
        Row(called=(tier,), when=(sure,) if own < inf else (), otherwise=Action("buy", name)),
        Row(called=alone, when=(Clause(name, level, keep, "vouched"),), otherwise=ask),
        Row(called=(*alone, ceiling), otherwise=Action("accept", ceiling), reason="last_tier"),
    )
    return Policy(tiers=(tier, ceiling), rows=rows)


def agreeing_cascades(table: Panel, order: tuple[str, ...]) -> Iterable[Policy]:
    """Yield cascades that keep what two small tiers agree on, and ask the ceiling for the rest.

    Nothing is fitted, so that few rows can certify them.
    """
    said = [t for t in order[:-1] if t in table.answers and (table.answers[t] >= 0).any()]
    for first, second in combinations(said, 2):
        yield _ordered(_cross_checked(first, second, order[-1]), order)


def _cross_checked(first: str, second: str, ceiling: str) -> Policy:
    alike = Clause(agreement(first, second), 1.0, Action("accept", second), "agree")
    rows = (
        Row(called=(), otherwise=Action("call", first), reason="entry"),
        Row(called=(first,), otherwise=Action("call", second), reason="cross_check"),
        Row(called=(first, second), when=(alike,), otherwise=Action("call", ceiling)),
        Row(called=(first, second, ceiling), otherwise=Action("accept", ceiling)),
    )
    return Policy(tiers=(first, second, ceiling), rows=rows)


def _ordered(policy: Policy, order: tuple[str, ...]) -> Policy:
    """Let the policy know every tier, so that what it does not foresee finds the strongest."""
    return msgspec.structs.replace(policy, tiers=order)


def _grid(table: Panel, tier: str, step: float) -> list[float]:
    values = table.signals.get(confidence_of(tier))
    known = values[~np.isnan(values)] if values is not None else np.empty(0)
    return [float(level) for level in threshold_grid(known, step)] if known.size else []


def searched(
    table: Panel,
    policy: Policy,
    derived: Mapping[str, Derived] = {},
    promises: Sequence[Measure] = (),
) -> Searched:
    """Return what `policy` would have done on the tune rows, and how it stands with `promises`.

    `promises` are measures of the same table. `derived` may hold more than the policy needs.
    """
    ceiling = policy.ceiling
    needed = needed_by(policy, derived)
    done = replay_array(policy, table, needed)
    difference = np.nan_to_num(done.score) - np.nan_to_num(table.score[ceiling])
    return Searched(
        policy=policy,
        cost_usd=_known_mean(done.cost_usd),
        score=float(np.nan_to_num(done.score).mean()),
        loss=float(-difference.mean() + _modelled_loss(table, done, ceiling)) / 2,
        discordant=float((difference != 0).mean()),
        kept=1.0 - float(done.called_tier(ceiling).mean()),
        latency_s=_known_mean(done.latency_s),
        derived=needed,
        standings=tuple(_standing(measure, table, done) for measure in promises),
    )


def needed_by(policy: Policy, derived: Mapping[str, Derived]) -> dict[str, Derived]:
    """Return the formulas that a policy reads, and those that these rest on."""
    wanted = [clause.signal for row in policy.rows for clause in row.when]
    found: dict[str, Derived] = {}
    while wanted:
        name = wanted.pop()
        if name in derived and name not in found:
            found[name] = derived[name]
            wanted += derived[name].inputs
    return found


def _known_mean(values: Floats) -> float | None:
    return None if np.isnan(values).any() else float(values.mean())


def _standing(measure: Measure, table: Panel, done: ReplayedArray) -> Standing:
    judged = measure.judged(done)
    if not judged.differences.size:
        return Standing(0.0, 1.0, 0)  # nothing known: right on the border of the promise
    seen = float(judged.differences.mean())
    if measure.confident:
        expected = measure.judged(done, _expected(measure, table)).differences
        seen = (seen + float(expected.mean())) / 2
    square = float((judged.differences**2).mean())
    return Standing(-seen - measure.epsilon, square, judged.index.size)


def _expected(measure: Measure, table: Panel) -> dict[str, Floats]:
    """What each answer is worth as its confidence expects it.

    Among many policies on few tune rows the one that looks best was lucky. The confidence has two
    fitted numbers for all rows, so it has less luck to offer; the mean of both places the start.
    """
    lift = measure.against - measure.against.mean()  # a paired loss is against the ceiling's mean
    found = dict(measure.worth)
    for tier, worth in measure.worth.items():
        sure = table.signals.get(confidence_of(tier))
        if sure is not None and tier != measure.ceiling:
            found[tier] = np.where(np.isnan(sure), worth, sure + lift)
    return found


def _modelled_loss(table: Panel, done: ReplayedArray, ceiling: str) -> float:
    """Return the loss that the calibrated confidence of the kept answers expects."""
    own = np.nan_to_num(table.score[ceiling])
    reference, lost = own.mean(), own - np.nan_to_num(done.score)
    for tier in done.answers:
        sure = table.signals.get(confidence_of(tier)) if tier else None
        if sure is not None and tier != ceiling:
            rows = done.answered_by(tier) & ~np.isnan(sure)
            lost = np.where(rows, reference - sure, lost)
    return float(lost.mean())


def path(found: Sequence[Searched], ceiling: Searched, longest: int = 120) -> list[Searched]:
    """Return the path to test, safest (the ceiling itself) first, cheapest last.

    It keeps the policies that no other beats in both cost and risk. Where a cost is unknown, the
    share that the ceiling must answer stands for it.
    """
    priced = all(one.cost_usd is not None for one in [*found, ceiling])

    def cost(one: Searched) -> float:
        return one.cost_usd if priced and one.cost_usd is not None else 1 - one.kept

    hull: list[Searched] = []
    for one in sorted(found, key=lambda s: (cost(s), s.risk)):
        if cost(one) < cost(ceiling) and (not hull or one.risk < hull[-1].risk - 1e-12):
            hull.append(one)
    kept = hull if len(hull) <= longest else [hull[i] for i in _spread(len(hull), longest)]
    return [ceiling, *reversed(kept)]


def _spread(size: int, longest: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, size - 1, longest)})


def start(along: Sequence[Searched], n_tune: int, n_certify: int) -> int:
    """Return where on the path to start testing: the largest z = -shortfall / error.

    With several promises z is the smallest of theirs. Of equal policies the cheapest wins.
    """
    best, best_z = 0, -np.inf
    for place, one in enumerate(along[1:], 1):
        z = min(-s.shortfall / s.error(n_tune, n_certify) for s in one.standings)
        if z >= best_z - 1e-9:
            best, best_z = place, z
    return best
