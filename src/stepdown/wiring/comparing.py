"""`replay --compare`: the locked policy beside simpler rules and the oracle, on the same rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from stepdown.core.lock import Estimate, LockedTask
from stepdown.core.replay_array import Panel
from stepdown.stats.frontier import Frontier
from stepdown.wiring.deferring import Deferral, deferral
from stepdown.wiring.estimating import difference_of, mean_of
from stepdown.wiring.frontier_file import Alternative
from stepdown.wiring.played import Played
from stepdown.wiring.rivals import SOURCE, Rivals, scored

CORNERS = 24  # of the oracle's frontier that a plot can show
LOCKED = "locked policy"


class Rule(Struct, frozen=True, kw_only=True):
    """A rule on the replayed rows. `difference`: its score less the locked policy's, paired."""

    name: str
    kind: str
    score: Estimate
    cost_usd: Estimate
    difference: Estimate | None = None


class Spot(Struct, frozen=True):
    """A point of the plot: mean cost (dollars a call) and mean score."""

    series: str
    cost_usd: float
    score: float
    label: str = ""


class Comparison(Struct, frozen=True, kw_only=True):
    """All rules on the same `n` rows. `left_out`: rows on which the score of some rule is unknown.

    `area`: share of the area between static hull and oracle that the policies close.
    """

    rules: tuple[Rule, ...]
    n: int
    left_out: int
    area: Estimate | None
    deferral: Deferral | None
    spots: tuple[Spot, ...]
    notes: tuple[str, ...]


def compare(
    locked: LockedTask, table: Panel, alternatives: Sequence[Alternative] = ()
) -> Comparison:
    """Return the locked policy beside other rules; `table` is what `replaying.table_of` makes."""
    rows = scored(locked, table)
    rivals = Rivals(locked, table.take(rows), alternatives)
    played = [rivals.locked, *rivals.singles, *rivals.yardsticks()]
    left_out = table.n - len(rows)
    said = (f"{left_out:,} rows left out: a score is unknown there.",) if left_out else ()
    return Comparison(
        rules=tuple(_rule(one, rivals) for one in played),
        n=len(rows),
        left_out=left_out,
        area=rivals.area(),
        deferral=deferral(locked, rivals.table, alternatives),
        spots=_spots(rivals, played),
        notes=(*rivals.notes, *said),
    )


def spots_of(
    locked: LockedTask, table: Panel, alternatives: Sequence[Alternative] = ()
) -> tuple[Spot, ...]:
    """Return the points of cost against score alone; none where a cost is unknown."""
    rivals = Rivals(locked, table.take(scored(locked, table)), alternatives)
    return _spots(rivals, rivals.prior())


def _rule(one: Played, rivals: Rivals) -> Rule:
    gap = difference_of(one.score, rivals.locked.score, SOURCE, rivals.groups)
    return Rule(
        name=one.name,
        kind=one.kind,
        score=mean_of(one.score, "score", SOURCE, rivals.groups),
        cost_usd=mean_of(one.cost, "usd", SOURCE, rivals.groups),
        difference=None if one is rivals.locked else gap,
    )


def _spots(rivals: Rivals, rules: Sequence[Played]) -> tuple[Spot, ...]:
    """Return the rules as points, and the frontiers that they stand between, in order of cost."""
    if rivals.static is None:
        return ()
    on_hull = [rivals.singles[place] for place in rivals.static.index]
    beside = [one for one in rivals.singles if one not in on_hull]
    priced = sorted((one for one in rivals.path if one.priced), key=lambda one: one.at)
    return (
        *(_spot("static hull", one) for one in on_hull),
        *(_spot(one.name, one) for one in beside),
        *_curve("oracle", rivals.oracle()),
        *(_spot("tested path", one) for one in priced),
        *(_spot(one.name, one) for one in rules if one.kind == "prior"),
        _spot(LOCKED, rivals.locked),
    )


def _spot(series: str, one: Played) -> Spot:
    return Spot(series, *one.at, one.name)


def _curve(series: str, curve: Frontier) -> list[Spot]:
    places = sorted({round(i) for i in np.linspace(0, curve.cost.size - 1, CORNERS)})
    return [Spot(series, float(curve.cost[i]), float(curve.score[i])) for i in places]
