"""Search on tune rows: which policies there are, what they cost, and the path to be certified.

It knows nothing of the certify rows; what it chooses is only an order and a place to start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import msgspec
import numpy as np
from msgspec import Struct

from stepdown.core.policy import Policy, cascade, confidence_of, single
from stepdown.core.replay_array import Panel, ReplayedArray, replay_array
from stepdown.stats.sequence import threshold_grid


class Searched(Struct, frozen=True, kw_only=True):
    """A policy with what it would have done on the tune rows.

    `cost_usd` a call (None: unknown), `score` in 0..1; `loss` against the ceiling, half as observed
    and half as the confidence expects it, which orders the path and proves nothing; `kept` the
    share of queries that the ceiling did not have to answer.
    """

    policy: Policy
    cost_usd: float | None
    score: float
    loss: float
    discordant: float
    kept: float


def strength(table: Panel, tiers: Sequence[str], ceiling: str) -> tuple[str, ...]:
    """Return the tiers by their score on the tune rows, weakest first, the ceiling last."""
    lower = [tier for tier in tiers if tier != ceiling]
    unknown = np.empty(0)
    return (*sorted(lower, key=lambda t: _mean(table.score.get(t, unknown))), ceiling)


def _mean(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
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
    for first, second in combinations(lower, 2):
        for low in _grid(table, first, pair_step):
            for high in _grid(table, second, pair_step):
                yield _ordered(cascade((first, second, ceiling), (low, high)), order)


def _ordered(policy: Policy, order: tuple[str, ...]) -> Policy:
    """Let the policy know every tier, so that what it does not foresee finds the strongest."""
    return msgspec.structs.replace(policy, tiers=order)


def _grid(table: Panel, tier: str, step: float) -> list[float]:
    values = table.signals.get(confidence_of(tier))
    known = values[~np.isnan(values)] if values is not None else np.empty(0)
    return [float(level) for level in threshold_grid(known, step)] if known.size else []


def searched(table: Panel, policy: Policy) -> Searched:
    """Return what `policy` would have done on the tune rows."""
    ceiling = policy.ceiling
    done = replay_array(policy, table)
    difference = np.nan_to_num(done.score) - table.score[ceiling]
    return Searched(
        policy=policy,
        cost_usd=None if np.isnan(done.cost_usd).any() else float(done.cost_usd.mean()),
        score=float(np.nan_to_num(done.score).mean()),
        loss=float(-difference.mean() + _modelled_loss(table, done, ceiling)) / 2,
        discordant=float((difference != 0).mean()),
        kept=float(np.mean([ceiling not in called for called in done.called])),
    )


def _modelled_loss(table: Panel, done: ReplayedArray, ceiling: str) -> float:
    """Return the loss that the calibrated confidence of the kept answers expects.

    Among many policies on few tune rows the one that looks best was lucky. The confidence has two
    fitted numbers for all rows, so it has less luck to offer; the mean of both places the start.
    """
    reference = table.score[ceiling].mean()
    lost = table.score[ceiling] - np.nan_to_num(done.score)
    for tier in {str(name) for name in done.answer} - {ceiling}:
        sure = table.signals.get(confidence_of(tier))
        if sure is not None:
            rows = (done.answer == tier) & ~np.isnan(sure)
            lost = np.where(rows, reference - sure, lost)
    return float(lost.mean())


def path(found: Sequence[Searched], ceiling: Searched, longest: int = 120) -> list[Searched]:
    """Return the path to test, safest (the ceiling itself) first, cheapest last.

    It keeps the policies that no other beats in both cost and loss. Where a cost is unknown, the
    share that the ceiling must answer stands for it.
    """
    priced = all(one.cost_usd is not None for one in [*found, ceiling])

    def cost(one: Searched) -> float:
        return one.cost_usd if priced and one.cost_usd is not None else 1 - one.kept

    hull: list[Searched] = []
    for one in sorted(found, key=lambda s: (cost(s), s.loss)):
        if cost(one) < cost(ceiling) and (not hull or one.loss < hull[-1].loss - 1e-12):
            hull.append(one)
    kept = hull if len(hull) <= longest else [hull[i] for i in _spread(len(hull), longest)]
    return [ceiling, *reversed(kept)]


def _spread(size: int, longest: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, size - 1, longest)})


def start(along: Sequence[Searched], max_loss: float, n_tune: int, n_certify: int) -> int:
    """Return where on the path to start testing: the largest z = (max_loss - loss) / error.

    The error is that of the certify rows, with one pseudo-disagreement against overconfidence in
    few tune rows. Of equal policies the cheapest wins.
    """
    best, best_z = 0, -np.inf
    for place, one in enumerate(along[1:], 1):
        discordant = (one.discordant * n_tune + 1) / (n_tune + 1)
        z = (max_loss - one.loss) / np.sqrt(discordant / n_certify)
        if z >= best_z - 1e-9:
            best, best_z = place, z
    return best
