"""How many rows would decide, by the test that ships, at the rates of the tune rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stepdown.certify.promises import Floats, Judged, Measure
from stepdown.certify.search import Searched, Standing
from stepdown.certify.tested import Codes, rows_of
from stepdown.core.digest import digest_bytes, seed_from
from stepdown.core.replay_array import Panel, replay_array
from stepdown.stats import bounds
from stepdown.stats.power import ROW_CAP, labels_needed, labels_needed_kept
from stepdown.stats.sequence import FIRST_SHARE

POWER = 0.8
Z_SUM = 2.1  # normal quantiles of a delta of .1 and a power of .8
DRAWS = 40  # resamples for each size; the answer has steps of a quarter, not digits
GROWTH = 1.25
RARE = 0.01  # limits below it are planned at this one: see `_paired`
CLOSEST = 0.02  # share of the limit that must be left as margin, or no number of rows is named


def rows_needed(
    promises: Sequence[Measure],
    along: Sequence[Searched],
    tune: Panel,
    delta: float,
    *,
    clustered: bool,
) -> int | None:
    """Return the certify rows that would let the most hopeful policy pass, with chance .8.

    None when no number would: on the tune rows every policy misses a promise, or all but does.
    """
    hopeful = [one for one in along[1:] if _margin(one, promises)]
    if not hopeful:
        return None
    one = min(hopeful, key=lambda s: s.risk)
    share = delta * FIRST_SHARE
    asked = [
        _rows(measure, standing, one, tune, share, clustered=clustered)
        for measure, standing in zip(promises, one.standings, strict=True)
    ]
    known = [rows for rows in asked if rows is not None]
    return max(known) if len(known) == len(asked) else None


def differences_needed(
    gaps: Floats, epsilon: float, delta: float, *, binary: bool, codes: Codes | None
) -> int | None:
    """Return the rows that would let a policy with such differences against the ceiling pass.

    `gaps` in [-1, 1] are of tune rows, `codes` their groups where these are bet on. None when no
    number would.
    """
    mean, share = float(gaps.mean()), delta * FIRST_SHARE
    if mean + epsilon <= CLOSEST * epsilon:
        return None
    if binary and codes is None:
        return _paired(mean, float((gaps**2).mean()), epsilon, share)
    return _resampled(Judged(np.arange(gaps.size), gaps), mean, epsilon, share, codes)


def _margin(one: Searched, promises: Sequence[Measure]) -> bool:
    pairs = zip(promises, one.standings, strict=True)
    return all(s.rows and -s.shortfall > CLOSEST * m.epsilon for m, s in pairs)


def _rows(
    measure: Measure,
    standing: Standing,
    one: Searched,
    tune: Panel,
    delta: float,
    *,
    clustered: bool,
) -> int | None:
    share = standing.rows / tune.n
    mean = -standing.shortfall - measure.epsilon
    if measure.kind == "graded" or clustered:
        judged = measure.judged(replay_array(one.policy, tune, one.derived))
        codes = rows_of(tune, 0, clustered=True).codes if clustered else None
        found = _resampled(judged, mean, measure.epsilon, delta, codes)
    elif measure.kind == "paired":
        found = _paired(mean, max(standing.square, abs(mean)), measure.epsilon, delta)
    else:
        found = labels_needed_kept(min(1.0, 1.0 + mean), 1.0 - measure.epsilon, delta, POWER).rows
    return None if found is None else int(np.ceil(found / share))


def _paired(mean: float, discordant: float, epsilon: float, delta: float) -> int | None:
    """A rare loss is a Poisson one: with limit and rates k times as high, k times fewer rows do.

    The exact test of a strict promise takes many seconds to plan, and at .01 less than one.
    """
    k = max(1.0, RARE / epsilon)
    minus, plus = (discordant - mean) / 2 * k, (discordant + mean) / 2 * k
    if minus + plus > 1:
        return None
    found = labels_needed(minus, plus, epsilon * k, delta, POWER).rows
    return None if found is None else int(np.ceil(found * k))


def _resampled(
    judged: Judged, mean: float, epsilon: float, delta: float, codes: Codes | None
) -> int | None:
    """Draw tune rows (or groups) again, moved to the assumed mean, until 80% of the draws pass."""
    gaps = judged.differences
    moved = np.clip(gaps + (mean - gaps.mean()), -1.0, 1.0)
    bets, size = _bets(moved, judged, epsilon, codes)
    rng = np.random.default_rng(seed_from(digest_bytes(bets.tobytes())))
    # The normal approximation asks for fewer rows than betting does: half of it is a safe start.
    units = max(2, int(Z_SUM**2 * bets.var() / max(bets.mean(), 1e-9) ** 2 / 2))
    while units * size <= ROW_CAP:
        if _mostly_passes(bets, units, delta, rng, anytime=codes is None):
            return int(np.ceil(units * size))
        units = int(units * GROWTH) + 1
    return None


def _mostly_passes(
    bets: Floats, units: int, delta: float, rng: np.random.Generator, *, anytime: bool
) -> bool:
    """Draw until it is known whether enough of the draws pass."""
    missed = 0
    for _ in range(DRAWS):
        log_e = bounds.difference_log_evalue(rng.choice(bets, units), 0.0, anytime=anytime)
        missed += log_e < -np.log(delta)
        if missed > (1 - POWER) * DRAWS:
            return False
    return True


def _bets(
    moved: Floats, judged: Judged, epsilon: float, codes: Codes | None
) -> tuple[Floats, float]:
    """Return what each row, or each group, adds to the test, at most 1, and its rows on average."""
    excess = (moved + epsilon) / (1.0 - epsilon)
    if codes is None:
        return np.clip(excess, -1.0, 1.0), 1.0
    inside = codes[judged.index]
    groups = np.unique(inside)
    largest = float(np.bincount(codes).max())
    sums = np.bincount(inside, weights=excess)[groups] / largest
    return np.clip(sums, -1.0, 1.0), inside.size / groups.size
