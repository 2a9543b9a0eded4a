"""What each map from a signal to a probability is worth, on rows that it was not fitted on.

For display and ranking: no map carries a guarantee (see `calibrate`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stepdown.errors import DataError
from stepdown.stats.arrays import Floats, Ints, vector, zero_one
from stepdown.stats.calibrate import (
    LEAST,
    auroc,
    brier,
    ece,
    fit_beta,
    fit_isotonic,
    fit_platt,
    fit_temperature,
    risk_coverage,
)

Fit = Callable[[Floats, Floats], Callable[[Floats], Floats]]


@dataclass(frozen=True, slots=True)
class MapQuality:
    """One map on rows that it did not see. `area` is the mean error over the share kept (AURC).

    `auroc` is None when all rows are right, or all wrong. `confidence` has shape (n,), in 0..1.
    """

    name: str
    ece: float
    brier: float
    auroc: float | None
    area: float
    confidence: Floats


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """The signal as it came (`before`) and after each map, out of fold; n rows in `folds` parts."""

    before: MapQuality
    after: tuple[MapQuality, ...]
    n: int
    folds: int


def calibration_report(
    signal: ArrayLike, right: ArrayLike, folds: int = 5, seed: int = 0
) -> CalibrationReport:
    """Return how good a signal in 0..1 is as a probability, before and after each map.

    Every row is mapped by a fit that did not see its fold. `right` holds 0 or 1; `seed` is a digest
    of the data.

    Raises:
        DataError: lengths that differ, fewer than two folds, or fewer rows than folds.
    """
    raw, good = vector("signal", signal, 0.0, 1.0), zero_one("right", right)
    if raw.size != good.size:
        raise DataError(f"{raw.size} signals and {good.size} outcomes; pairs are needed.")
    if not 2 <= folds <= raw.size:
        raise DataError(f"folds is {folds}; it must be from 2 to the {raw.size} rows.")
    fold = _folds(raw.size, folds, seed)
    after = tuple(_quality(name, out_of_fold(fit, raw, good, fold), good) for name, fit in MAPS)
    return CalibrationReport(_quality("as it came", raw, good), after, raw.size, folds)


def _folds(n: int, folds: int, seed: int) -> Ints:
    return np.asarray(np.random.default_rng(seed).permutation(n) % folds, dtype=np.int64)


def out_of_fold(fit: Fit, signal: Floats, right: Floats, fold: Ints) -> Floats:
    """Return each row's probability from a map fitted on the other folds."""
    found = np.empty(signal.size)
    for part in np.unique(fold):
        inside = fold == part
        found[inside] = fit(signal[~inside], right[~inside])(signal[inside])
    return found


def _quality(name: str, confidence: Floats, right: Floats) -> MapQuality:
    return MapQuality(
        name=name,
        ece=ece(confidence, right) or 0.0,
        brier=brier(confidence, right) or 0.0,
        auroc=auroc(confidence, right),
        area=risk_coverage(confidence, right).area,
        confidence=confidence,
    )


def _log_odds(signal: Floats) -> Floats:
    inside = np.clip(signal, LEAST, 1 - LEAST)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _temperature(signal: Floats, right: Floats) -> Callable[[Floats], Floats]:
    found = fit_temperature(_two(signal), right)
    return lambda values: found.apply(_two(values))[:, 1]


def _two(signal: Floats) -> Floats:
    """The two classes wrong and right as logits."""
    return np.stack([np.zeros(signal.size), _log_odds(signal)], axis=-1)


def _platt(signal: Floats, right: Floats) -> Callable[[Floats], Floats]:
    found = fit_platt(_log_odds(signal), right)
    return lambda values: found.apply(_log_odds(values))


def _beta(signal: Floats, right: Floats) -> Callable[[Floats], Floats]:
    return fit_beta(signal, right).apply


def _isotonic(signal: Floats, right: Floats) -> Callable[[Floats], Floats]:
    return fit_isotonic(signal, right).apply


MAPS: tuple[tuple[str, Fit], ...] = (
    ("temperature", _temperature),
    ("platt", _platt),
    ("beta", _beta),
    ("isotonic", _isotonic),
)
