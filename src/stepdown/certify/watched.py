"""What the certify rows looked like under the policy, for alarms in production to compare with.

It tests nothing; it counts.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from stepdown.core.lock import Marked, Watched
from stepdown.core.policy import tiers_in
from stepdown.core.replay_array import UNKNOWN, Floats, Panel, ReplayedArray

SIGNALS = ("confidence", "familiarity")
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
FEWEST = 30  # values under which no share of them says anything

Rows = NDArray[np.bool_]


def watched(table: Panel, done: ReplayedArray, ceiling: str) -> Watched | None:
    """Return the counts; `done` is the policy's replay of `table`. None where there are no rows."""
    if not table.n:
        return None
    compared, differed = _against_ceiling(table, done, ceiling)
    tier = _first(done, ceiling)
    paired, unlike = _pairs(table, done, ceiling)
    return Watched(
        n=table.n,
        by_ceiling=int(done.answered_by(ceiling).sum()),
        compared=compared,
        differed=differed,
        tier=tier,
        signals=_signals(table, done, tier) if tier else {},
        paired=paired,
        unlike=unlike,
    )


def _against_ceiling(table: Panel, done: ReplayedArray, ceiling: str) -> tuple[int, int]:
    """Count kept answers beside which the ceiling's is known, and those that are another one."""
    own = table.answers.get(ceiling)
    compared = differed = 0
    for tier in done.answers:
        if tier is None or tier == ceiling or own is None or tier not in table.answers:
            continue
        codes = table.answers[tier]
        rows = done.answered_by(tier) & (codes != UNKNOWN) & (own != UNKNOWN)
        compared += int(rows.sum())
        differed += int((codes[rows] != own[rows]).sum())
    return compared, differed


def _first(done: ReplayedArray, ceiling: str) -> str:
    """Return the tier below the ceiling that is called first most often, "" where none is."""
    firsts = Counter[str]()
    for place, n in Counter(done.called_at.tolist()).items():
        called = tiers_in(done.states[place])
        if called and called[0] != ceiling:
            firsts[called[0]] += n
    return firsts.most_common(1)[0][0] if firsts else ""


def _rows_in(done: ReplayedArray, states: set[int]) -> Rows:
    found: Rows = np.isin(done.called_at, list(states))
    return found


def _signals(table: Panel, done: ReplayedArray, tier: str) -> dict[str, Marked]:
    first = {i for i, state in enumerate(done.states) if tiers_in(state)[:1] == (tier,)}
    rows = _rows_in(done, first)
    found = {}
    for name in SIGNALS:
        values = table.signals.get(f"{tier}.{name}")
        marked = None if values is None else _marked(values[rows])
        if marked is not None:
            found[name] = marked
    return found


def _marked(values: Floats) -> Marked | None:
    """Return how values lie, None where they are too few or all alike."""
    known = values[~np.isnan(values)]
    if known.size < FEWEST or np.ptp(known) == 0:
        return None
    cuts = np.unique(np.quantile(known, QUANTILES))
    below = [int((known < cut).sum()) for cut in cuts]
    return Marked(tuple(cuts.tolist()), tuple(below), int(known.size))


def _pairs(table: Panel, done: ReplayedArray, ceiling: str) -> tuple[int, int]:
    """Count rows on which several tiers below the ceiling answered, and those not all alike."""
    paired = unlike = 0
    for place, state in enumerate(done.states):
        tiers = [t for t in tiers_in(state) if t != ceiling and t in table.answers]
        if len(tiers) < 2:
            continue
        rows = _rows_in(done, {place})
        codes = np.array([table.answers[tier][rows] for tier in tiers])
        known = (codes != UNKNOWN).all(axis=0)
        paired += int(known.sum())
        unlike += int((codes[:, known] != codes[0, known]).any(axis=0).sum())
    return paired, unlike
