"""Choose, on tune rows, the signal that tells a tier's right answers from its wrong ones.

The map to a probability ranks and displays. It never carries the guarantee.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stepdown.core.confidence import Calibrator
from stepdown.core.policy import confidence_of
from stepdown.core.replay_array import Panel
from stepdown.stats.calibrate import auroc, fit_platt

SIGNALS = ("label_prob", "margin", "field_min", "token_mean")
FEWEST = 20  # rows with a known signal, under which no map is fitted (two parameters)


def choose(table: Panel, tier: str) -> Calibrator | None:
    """Return the map of the tier's best signal by AUROC, None when it has no signal at all.

    `table` holds the tune rows with their scores; an answer counts as right when its score is 1.
    """
    best: tuple[float, Calibrator] | None = None
    for signal in SIGNALS:
        found = _fitted(table, tier, signal)
        if found is not None and (best is None or found[0] > best[0] + 1e-9):
            best = found
    return best[1] if best else None


def _fitted(table: Panel, tier: str, signal: str) -> tuple[float, Calibrator] | None:
    values = table.signals.get(f"{tier}.{signal}")
    if values is None:
        return None
    known = ~np.isnan(values) & ~np.isnan(table.score[tier])
    right = table.score[tier][known] >= 1
    rank = auroc(values[known], right) if known.sum() >= FEWEST else None
    if rank is None:
        return (0.0, Calibrator(signal)) if known.any() else None
    log_odds = np.log(_clip(values[known]) / (1 - _clip(values[known])))
    platt = fit_platt(log_odds, right)
    if platt.slope <= 0:
        return rank, Calibrator(signal)
    return rank, Calibrator(signal, "platt", float(platt.slope), float(platt.offset))


def _clip(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.clip(values, 1e-9, 1 - 1e-9)


def with_confidence(table: Panel, maps: Mapping[str, Calibrator]) -> Panel:
    """Return the panel with the signal `TIER.confidence` of every tier that has a map."""
    for tier, calibrator in maps.items():
        unread = np.full(table.n, np.nan)
        raw = table.signals.get(f"{tier}.{calibrator.signal}", unread)
        read = [calibrator.apply({calibrator.signal: float(value)}) for value in raw]
        values = np.array([np.nan if value is None else value for value in read], dtype=float)
        table = table.with_signal(confidence_of(tier), values)
    return table
