"""The mean loss of all traffic from the losses of a random part of it, valid at every look.

Sums in, an interval out. The only chance is that of the draw: traffic may drift, and callers may
send what they like. What was not drawn counts 0, what was drawn counts loss / propensity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stepdown.stats.arrays import Floats, probability, vector

METHOD = "Horvitz-Thompson, empirical-Bernstein confidence sequence (design-based)"
_BETS: Floats = np.geomspace(0.005, 0.95, 24)
_PSI: Floats = -np.log1p(-_BETS) - _BETS


@dataclass(frozen=True)
class AuditedLoss:
    """The mean loss over `requests`; `low` and `high` hold at `level` at every look together.

    `audited` losses are known, `missing` were drawn and could not be had: 0 at the lower end, a
    whole loss at the upper one.
    """

    value: float | None
    low: float
    high: float
    level: float
    requests: int
    audited: int
    missing: int


def audited_loss(
    losses: ArrayLike,
    propensity: ArrayLike,
    requests: int,
    *,
    missing: ArrayLike = (),
    level: float = 0.95,
) -> AuditedLoss:
    """Return the mean loss of `requests` requests.

    Args:
        losses: of what was audited, each in 0..1, shape (n,).
        propensity: the chance with which each was drawn, shape (n,).
        requests: all of them, those that cannot lose anything included.
        missing: propensities of what was drawn and not audited, shape (m,).
        level: chance that the interval holds at every look together.

    Source: Horvitz and Thompson (1952); exp(bet x sum - psi(bet) x sum of squares) is a
    supermartingale by Fan, Grama and Liu (2015) as in Howard, Ramdas, McAuliffe and Sekhon (2021)
    and, for weighted losses, Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro (2024), with 0 as
    the forecast of each loss; the mean over bets is one too (Robbins, 1970), and Ville (1939).
    """
    lost, gone = (
        vector("losses", losses, 0.0, 1.0) if np.size(losses) else np.zeros(0),
        np.ravel(missing),
    )
    chances, alpha = np.ravel(np.asarray(propensity, dtype=np.float64)), 1 - level
    probability("level", level)
    _check(lost, chances, gone, requests)
    if not requests:
        return AuditedLoss(None, 0.0, 1.0, level, 0, 0, 0)
    most = float(max(1.0, *(1 / chances), *(1 / gone))) if lost.size or gone.size else 1.0
    known, worst = lost / chances, np.concatenate([lost / chances, 1 / gone])
    low = (known.sum() - most * _reach(float((known**2).sum()) / most**2, alpha / 2)) / requests
    high = (worst.sum() + most * _reach(float((worst**2).sum()) / most**2, alpha / 2)) / requests
    return AuditedLoss(
        value=_value(lost, chances, gone, requests),
        low=float(np.clip(low, 0.0, 1.0)),
        high=float(np.clip(high, 0.0, 1.0)),
        level=level,
        requests=requests,
        audited=int(lost.size),
        missing=int(gone.size),
    )


def _value(lost: Floats, chances: Floats, gone: Floats, requests: int) -> float | None:
    """Return the estimate; what is missing is taken to lose as much as what is known."""
    drawn = float((1 / chances).sum()) if lost.size else 0.0
    if not drawn:
        return None
    whole = drawn + float((1 / gone).sum())
    return float(min(1.0, (lost / chances).sum() * whole / drawn / requests))


def _reach(squares: float, alpha: float) -> float:
    """Return how far sum and truth may lie apart: where the mean over bets reaches 1 / alpha."""
    goal, low, high = -math.log(alpha) + math.log(_BETS.size), 0.0, 8.0
    while _log_wealth(high, squares) < goal:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _log_wealth(middle, squares) < goal else (low, middle)
    return high


def _log_wealth(apart: float, squares: float) -> float:
    return float(np.logaddexp.reduce(_BETS * apart - _PSI * squares))


def _check(lost: Floats, chances: Floats, gone: Floats, requests: int) -> None:
    if lost.shape != chances.shape:
        raise ValueError(f"{lost.size} losses have {chances.size} propensities")
    for one in (chances, gone):
        if one.size and not (np.all(one > 0) and np.all(one <= 1)):
            raise ValueError("a propensity must lie above 0 and at most at 1")
    if requests < lost.size + gone.size:
        raise ValueError(f"{lost.size + gone.size} of {requests} requests cannot have been drawn")
