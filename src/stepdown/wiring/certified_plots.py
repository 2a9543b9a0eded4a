"""The plots of a certification: frontier, reliability, kept share, labels to buy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from stepdown.certify.evidence import Certified
from stepdown.certify.search import Searched
from stepdown.core.policy import Policy, confidence_of
from stepdown.core.report import Plot, Point
from stepdown.stats.calibrate import reliability_bins
from stepdown.wiring.comparing import LOCKED, spots_of
from stepdown.wiring.estimating import Floats
from stepdown.wiring.frontier_file import alternatives_of
from stepdown.wiring.labels_plot import labels_to_buy
from stepdown.wiring.policy_shape import reachable

BINS = 8
FITTED = (
    "On certify rows. The static hull (mixes of single tiers) and the oracle (the best tier of "
    "each row) are fitted on these rows, and are there to compare."
)
STATES = {True: "passed", False: "rejected", None: "not tested"}


def plots(one: Certified) -> Iterator[Plot]:
    """Yield the plots of one task that have anything to show."""
    for plot in (frontier(one), reliability(one), kept_share(one), labels_to_buy(one)):
        if plot.points:
            yield plot


def frontier(one: Certified) -> Plot:
    """Return cost against score on certify rows: the path, the chosen policy, other rules."""
    spots = spots_of(one.locked, one.certify_table, alternatives_of(one))
    points = tuple(
        Point(s.cost_usd * 1000, s.score, label=s.label, series=s.series, chosen=s.series == LOCKED)
        for s in spots
    )
    return Plot(
        title=f"{one.task.name}: cost against score",
        x_label="$ for 1,000 calls",
        y_label="score",
        points=points,
        x_unit="usd",
        y_unit="score",
        joined=True,
        notes=(FITTED,),
    )


def reliability(one: Certified) -> Plot:
    """Return confidence against accuracy on certify rows, before and after the map."""
    points = [point for tier in one.locked.confidence for point in _reliable(one, tier)]
    return Plot(
        title=f"{one.task.name}: confidence against accuracy, before and after calibration",
        x_label="signal, or confidence",
        y_label="share of right answers",
        points=tuple(points),
        x_unit="share",
        y_unit="share",
        joined=True,
        diagonal=True,
        notes=("On certify rows, with Wilson intervals. Confidence ranks; it promises nothing.",),
    )


def _reliable(one: Certified, tier: str) -> list[Point]:
    signals, mapped = one.certify_table.signals, one.locked.confidence[tier]
    raw, sure = signals.get(f"{tier}.{mapped.signal}"), signals.get(confidence_of(tier))
    before = [] if mapped.kind == "identity" else _bins(one, tier, raw, f"{tier}: {mapped.signal}")
    return before + _bins(one, tier, sure, f"{tier}: confidence")


def _bins(one: Certified, tier: str, values: Floats | None, series: str) -> list[Point]:
    table = one.certify_table
    if values is None or tier not in table.score:
        return []
    known = ~np.isnan(values) & ~np.isnan(table.score[tier])
    if not known.any() or not _is_share(values[known]):
        return []
    right = table.score[tier][known] >= 1
    return [
        Point(
            b.mean_confidence,
            b.accuracy,
            b.interval.low,
            b.interval.high,
            f"n={b.n}",
            series=series,
        )
        for b in reliability_bins(values[known], right, BINS)
    ]


def _is_share(values: Floats) -> bool:
    return bool((values >= 0).all() and (values <= 1).all())


def kept_share(one: Certified) -> Plot:
    """Return the share kept at each threshold that was searched along the path, and what passed.

    Where the path has no one threshold that moves, the place on the path stands for it.
    """
    tested = one.tested.policies if one.tested is not None else ()
    levels = _thresholds(one)
    points = [
        Point(
            float(place) if levels is None else levels[place],
            one.along[place].kept,
            label=LOCKED if place == one.chosen else "",
            chosen=place == one.chosen,
            series=STATES[said.passed if said.passed or said.p_value is not None else None],
        )
        for place, said in enumerate(tested)
        if place and (levels is None or place in levels)
    ]
    return Plot(
        title=f"{one.task.name}: share kept, and the certified region",
        x_label="place on the path" if levels is None else "threshold on the confidence",
        y_label="share that the ceiling need not answer",
        points=tuple(points),
        y_unit="share",
        joined=True,
        notes=("passed: certified together, at one delta. Shares are those of the tune rows.",),
    )


def _thresholds(one: Certified) -> dict[int, float] | None:
    """Return the thresholds of the policies that differ from the chosen one in it alone."""
    like = _shape(one.along[one.chosen].policy) if one.chosen else _commonest(one.along)
    alike = [p for p, s in enumerate(one.along) if like is not None and _shape(s.policy) == like]
    found = {place: _level(one.along[place].policy) for place in alike}
    return found if len(set(found.values())) > 2 else None


def _shape(policy: Policy) -> tuple[object, ...] | None:
    """Return everything of a policy but its threshold, None unless it has exactly one."""
    rows = reachable(policy)
    clauses = [clause for row in rows for clause in row.when]
    if len(clauses) != 1:
        return None
    return (clauses[0].signal, clauses[0].then, *((row.called, row.otherwise) for row in rows))


def _commonest(along: Sequence[Searched]) -> tuple[object, ...] | None:
    shapes = [shape for one in along if (shape := _shape(one.policy)) is not None]
    return max(shapes, key=shapes.count, default=None)


def _level(policy: Policy) -> float:
    return next(clause.at_least for row in policy.rows for clause in row.when)
