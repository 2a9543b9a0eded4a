"""Before and after on the same fresh rows: what each task scores, costs and keeps, paired."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from stepdown.core.lock import Estimate, LockedTask
from stepdown.core.replay_array import Panel, ReplayedArray, replay_array
from stepdown.wiring.estimating import (
    Floats,
    Groups,
    difference_of,
    groups_of,
    mean_of,
    saving_of,
)
from stepdown.wiring.reviewing import Reviewed

SOURCE = "fresh rows"


class Side(Struct, frozen=True, kw_only=True):
    """One policy on the fresh rows: score a message, dollars a call, share that it keeps."""

    score: Estimate
    cost_usd: Estimate
    keeps: float


class BeforeAfter(Struct, frozen=True, kw_only=True):
    """The policy in force and the proposed one on the same rows; differences are paired.

    `gained` is score after - before; `saved` the share of today's cost, None where a cost is
    unknown.
    """

    before: Side
    after: Side
    gained: Estimate
    saved: Estimate | None
    n: int


def before_after(one: Reviewed) -> BeforeAfter | None:
    """Return the figures of a reviewed task; None where nothing was tested beside what serves."""
    done = one.renewed
    if done is None or one.locked is None:
        return None
    first, table = done.done, done.table
    if not done.changed and done.held:
        return _compared(one.was, first, table, first, table)
    other = done.other
    second = replay_array(other.locked.policy, other.certify_table, other.locked.signals)
    return _compared(one.was, first, table, second, other.certify_table)


def _compared(
    was: LockedTask, first: ReplayedArray, table: Panel, second: ReplayedArray, other: Panel
) -> BeforeAfter:
    place = {query: row for row, query in enumerate(other.query_ids)}
    rows = np.array([place.get(query, -1) for query in table.query_ids])
    old, new = np.flatnonzero(rows >= 0), rows[rows >= 0]
    shared = table.take(old)
    groups = groups_of(shared.groups, shared.query_ids)
    ceiling = was.policy.ceiling
    before = _side(first, old, ceiling, groups)
    after = _side(second, new, ceiling, groups)
    return BeforeAfter(
        before=before,
        after=after,
        gained=difference_of(_sent(second)[new], _sent(first)[old], SOURCE, groups),
        saved=saving_of(second.cost_usd[new], first.cost_usd[old], SOURCE, groups),
        n=int(old.size),
    )


def _sent(done: ReplayedArray) -> Floats:
    return np.nan_to_num(done.score)


def _side(
    done: ReplayedArray,
    rows: np.ndarray[tuple[int], np.dtype[np.int64]],
    ceiling: str,
    groups: Groups | None,
) -> Side:
    kept = ~done.answered_by(ceiling)[rows]
    return Side(
        score=mean_of(_sent(done)[rows], "score", SOURCE, groups),
        cost_usd=mean_of(done.cost_usd[rows], "usd", SOURCE, groups),
        keeps=float(kept.mean()) if kept.size else 0.0,
    )
