"""How well a locked policy ranks queries for the strong tier: APGR, CPT and the deferral curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from stepdown.core.digest import digest, seed_from
from stepdown.core.lock import Estimate, LockedTask
from stepdown.core.policy import Action, Clause, Policy, Row
from stepdown.core.replay_array import USABLE, Panel, replay_array
from stepdown.stats import frontier
from stepdown.stats.frontier import DeferralCurve
from stepdown.stats.intervals import Interval
from stepdown.wiring.estimating import Floats, groups_of
from stepdown.wiring.frontier_file import Alternative
from stepdown.wiring.policy_shape import reachable

SOURCE = "replayed rows"
SHARES = (0.5, 0.8)


class Deferral(Struct, frozen=True, kw_only=True):
    """What the ranking is worth between a weak and a strong tier.

    `apgr`: 1 all gain at no cost, .5 a random order; `cpt`: for 50% and 80% of the gap the least
    share of strong calls; `area`: under the deferral curve. `of` says what was ranked.
    """

    weak: str
    strong: str
    of: str
    apgr: Estimate
    cpt: tuple[Estimate, ...]
    area: Estimate


class _Ranking(Struct, frozen=True):
    weak: str
    strong: str
    values: Floats


def deferral(
    locked: LockedTask, table: Panel, alternatives: Sequence[Alternative] = ()
) -> Deferral | None:
    """Return the figures of the policy's ranking, or else of its tested path; None without both.

    `table` has a score of both tiers on every row.
    """
    seen = table.with_derived(locked.signals)
    ranking = _ranking(locked.policy, seen) if table.n else None
    if ranking is not None:
        return _of_ranking(ranking, seen)
    return _of_path(locked, table, alternatives) if table.n and alternatives else None


def _of_ranking(ranking: _Ranking, table: Panel) -> Deferral:
    weak, strong = table.score[ranking.weak], table.score[ranking.strong]
    curve = frontier.deferral_curve(ranking.values, weak, strong)

    def figures(one: DeferralCurve) -> tuple[float | None, ...]:
        return frontier.apgr(one), *frontier.cpt(one, SHARES), frontier.audc(one)

    found = frontier.deferral_intervals(
        ranking.values,
        weak,
        strong,
        figures,
        groups_of(table.groups, table.query_ids),
        seed=seed_from(digest(sorted(table.query_ids))),
    )
    said = [_estimate(*pair) for pair in zip(figures(curve), found, strict=True)]
    return _deferral(
        ranking.weak, ranking.strong, "the policy's own signal, at every threshold", said
    )


def _estimate(value: float | None, found: Interval | None = None) -> Estimate:
    low, high, n = (found.low, found.high, found.n) if found else (None, None, 0)
    return Estimate(value, low, high, n, "score", SOURCE)


def _deferral(weak: str, strong: str, of: str, said: Sequence[Estimate]) -> Deferral:
    apgr, *cpt, area = said
    return Deferral(weak=weak, strong=strong, of=of, apgr=apgr, cpt=tuple(cpt), area=area)


def _ranking(policy: Policy, table: Panel) -> _Ranking | None:
    """Return the ranking of a policy over two tiers with one threshold: after the weak answer, or
    before any call.
    """
    rows = reachable(policy)
    clauses = [(row, clause) for row in rows for clause in row.when]
    if len(rows) != 3 or len(clauses) != 1 or not all(map(_sends_last, rows)):
        return None
    row, clause = clauses[0]
    return _before(policy, row, clause, table) if not row.called else _after(row, clause, table)


def _sends_last(row: Row) -> bool:
    """Whether a state only calls the next tier, or sends the last answer."""
    actions = set(row.actions)
    calls = {a for a in actions if a.kind == "call"}
    return actions - calls <= ({Action("accept", row.called[-1])} if row.called else set())


def _after(row: Row, clause: Clause, table: Panel) -> _Ranking | None:
    if clause.then.kind != "accept" or row.otherwise.kind != "call":
        return None
    weak, strong = row.called[-1], row.otherwise.target
    values = -table.signals.get(clause.signal, np.full(table.n, np.nan))
    failed = table.failure[weak] != USABLE
    return _known(weak, strong, np.where(failed, np.nan, values), table)


def _before(policy: Policy, row: Row, clause: Clause, table: Panel) -> _Ranking | None:
    values = table.signals.get(clause.signal, np.full(table.n, np.nan))
    sure, rest = clause.then.target, row.otherwise.target
    upwards = policy.tiers.index(sure) > policy.tiers.index(rest)
    weak, strong = (rest, sure) if upwards else (sure, rest)
    return _known(weak, strong, values if upwards else -values, table)


def _known(weak: str, strong: str, values: Floats, table: Panel) -> _Ranking | None:
    scored = all(t in table.score and not np.isnan(table.score[t]).any() for t in (weak, strong))
    return _Ranking(weak, strong, values) if scored and not np.isnan(values).all() else None


def _of_path(
    locked: LockedTask, table: Panel, alternatives: Sequence[Alternative]
) -> Deferral | None:
    """Return the figures of the curve through the policies that were tested, tiers alone at its
    ends; without intervals, for these points were chosen together.
    """
    weak, strong = locked.policy.tiers[0], locked.policy.ceiling
    if any(t not in table.score or np.isnan(table.score[t]).any() for t in (weak, strong)):
        return None
    points = [_point(one, table, strong) for one in alternatives]
    points += [(0.0, float(table.score[weak].mean())), (1.0, float(table.score[strong].mean()))]
    curve = _through(points)
    said = [
        _estimate(x)
        for x in (frontier.apgr(curve), *frontier.cpt(curve, SHARES), frontier.audc(curve))
    ]
    return _deferral(weak, strong, "the policies of the tested path and mixes of them", said)


def _point(one: Alternative, table: Panel, strong: str) -> tuple[float, float]:
    done = replay_array(one.policy, table, one.signals)
    return float(done.called_tier(strong).mean()), float(np.nan_to_num(done.score).mean())


def _through(points: Sequence[tuple[float, float]]) -> DeferralCurve:
    """Return the concave curve through the points; the last is nothing but strong calls.

    Beyond the best point the share may grow without a gain; the strong tier alone ends the curve.
    """
    share, score = (np.array(column) for column in zip(*points, strict=True))
    best = frontier.hull(share, score)
    shares = np.concatenate([best.cost, [1.0, 1.0]])
    return DeferralCurve(shares, np.concatenate([best.score, [best.score[-1], score[-1]]]))
