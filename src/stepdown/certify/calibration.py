"""The pilot: choose, on tune rows, the signal that tells a tier's right answers from wrong ones.

The map to a probability ranks and displays. It never carries the guarantee.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.core.bought import Bought
from stepdown.core.confidence import Calibrator
from stepdown.core.derived import Linear, agreement
from stepdown.core.policy import confidence_of
from stepdown.core.replay_array import USABLE, Panel
from stepdown.core.signals import SIGNALS as REGISTERED
from stepdown.core.signals import signals_for
from stepdown.core.task import TaskKind
from stepdown.stats.calibrate import LEAST, auroc, auroc_error, fit_beta, fit_platt
from stepdown.stats.reliability import MAPS, out_of_fold

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SIGNALS = tuple(signal.name for signal in REGISTERED if signal.unit)
FEWEST = 20  # rows with a known signal, under which no map is fitted (two parameters)
FOLDS = 5
UNKNOWN = -1.0  # ranks below every signal in 0..1: a policy never keeps what it knows nothing of


class Ranked(Struct, frozen=True, omit_defaults=True):
    """How well one signal tells right from wrong answers of a tier on the tune rows.

    `signal` is a bare name, the name of a bought signal, or `A=B`; `auroc` with its standard
    `error`, None where it could not be measured; `known` rows of those with a usable answer.
    """

    signal: str
    auroc: float | None = None
    error: float | None = None
    known: int = 0
    note: str = ""


class Pilot(Struct, frozen=True):
    """What was found for one tier: the map of its best free signal, and all signals in rank.

    `others` are signals that are known later: bought ones, and agreement with other tiers.
    """

    tier: str
    chosen: Calibrator | None
    ranked: tuple[Ranked, ...]
    others: tuple[Ranked, ...] = ()

    @property
    def best(self) -> str | None:
        """The name under which a policy reads the best signal; a free one unless another beats it
        by more than a standard error.
        """
        free = None if self.chosen is None else _ranked_as(self.ranked, self.chosen.signal)
        other = max(self.others, key=_area, default=None)
        if other is not None and _area(other) - (other.error or 0.0) > max(0.5, _area(free)):
            return other.signal
        return None if free is None else confidence_of(self.tier)

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said of the signals, in sentences."""
        said = [one for one in (*self.ranked, *self.others) if one.note]
        return tuple(f"{self.tier}: {one.signal} {one.note}." for one in said)


def _ranked_as(ranked: Sequence[Ranked], signal: str) -> Ranked | None:
    return next((one for one in ranked if one.signal == signal), None)


def _area(one: Ranked | None) -> float:
    return 0.0 if one is None or one.auroc is None else one.auroc


def choose(table: Panel, tier: str, kind: TaskKind | None = None) -> Calibrator | None:
    """Return the map of the tier's best free signal, None when it has none: see `pilot`."""
    return pilot(table, tier, kind).chosen


def pilot(
    table: Panel,
    tier: str,
    kind: TaskKind | None = None,
    bought: Mapping[str, Bought] = {},
) -> Pilot:
    """Return the tier's signals of a kind of task in rank, and the map of the best.

    Of the signals within one standard error of the best AUROC, the one that the registry prefers is
    taken: with few rows the largest figure is often luck. `table` holds the tune rows with their
    scores; an answer counts as right when its score is 1; rows whose answer cannot be used are
    left out. A constant signal is not chosen where another could be measured.

    Source: Breiman, Friedman, Olshen and Stone (1984), the one-standard-error rule.
    """
    rows = _Rows(table, tier)
    names = [signal.name for signal in signals_for(kind)]
    found = {name: rows.of(f"{tier}.{name}") for name in names}
    ranked = [_rank(name, values, rows.right) for name, values in found.items()]
    ranked = [one for one in ranked if one.known]
    chosen = _preferred(ranked)
    return Pilot(
        tier,
        None if chosen is None else _map(chosen.signal, found[chosen.signal], rows.right),
        tuple(ranked),
        tuple(_others(rows, bought)),
    )


class _Rows:
    """The rows of a tier that say something: its answer can be used, and has a score."""

    def __init__(self, table: Panel, tier: str) -> None:
        self.table, self.tier = table, tier
        score = table.score[tier]
        usable = ~np.isnan(score)
        if tier in table.failure:
            usable &= table.failure[tier] == USABLE
        self.usable = usable
        self.right: Bools = score[usable] >= 1

    def of(self, name: str) -> Floats:
        """Return a signal of these rows, NaN where it is unknown."""
        values = self.table.signals.get(name)
        return np.full(self.right.size, np.nan) if values is None else values[self.usable]

    def agreeing(self, other: str) -> Floats:
        """Return where the tier gives the same answer as another, read as a policy reads it."""
        name = agreement(self.tier, other)
        read = self.table.with_derived({"read": Linear((name,), (1.0,), (0.0,))})
        return read.signals["read"][self.usable]


def _others(rows: _Rows, bought: Mapping[str, Bought]) -> list[Ranked]:
    mine = [name for name, one in bought.items() if one.about == rows.tier]
    found = {name: rows.of(name) for name in mine}
    peers = [tier for tier in rows.table.answers if tier != rows.tier and ">" not in tier]
    found |= {agreement(rows.tier, peer): rows.agreeing(peer) for peer in peers}
    ranked = [_rank(name, values, rows.right) for name, values in found.items()]
    return [one for one in ranked if one.known]


def _rank(name: str, values: Floats, right: Bools) -> Ranked:
    known = ~np.isnan(values)
    n = int(known.sum())
    if not n:
        return Ranked(name)
    if n == known.size and np.ptp(values) == 0:
        return Ranked(name, known=n, note="is constant on the tune rows and says nothing")
    area = auroc(np.where(known, values, UNKNOWN), right) if n >= FEWEST else None
    if area is None:
        return Ranked(name, known=n)
    good = int(right.sum())
    error = auroc_error(area, good, right.size - good)
    weak = "hardly tells right from wrong answers" if area - error <= 0.5 else ""
    return Ranked(name, area, error, n, weak)


def _preferred(ranked: Sequence[Ranked]) -> Ranked | None:
    """The first that is not clearly behind the best; where nothing was measured, the first."""
    measured = [one for one in ranked if one.auroc is not None]
    if not measured:
        return next(iter(ranked), None)
    best = max(measured, key=_area)
    return next(one for one in measured if _area(one) >= _area(best) - (best.error or 0.0) - 1e-9)


def _map(signal: str, values: Floats, right: Bools) -> Calibrator:
    """Return the map of a signal: as it is where it cannot be fitted or points the wrong way."""
    known = ~np.isnan(values)
    sure, good = np.clip(values[known], 0.0, 1.0), right[known].astype(float)
    if sure.size < FEWEST or np.ptp(good) == 0 or np.ptp(sure) == 0:
        return Calibrator(signal)
    if _beta_is_better(sure, good):
        beta = fit_beta(sure, good)
        return Calibrator(signal, "beta", beta.a, beta.b, beta.c)
    inside = np.clip(sure, LEAST, 1 - LEAST)
    platt = fit_platt(np.log(inside / (1 - inside)), good)
    if platt.slope <= 0:
        return Calibrator(signal)
    return Calibrator(signal, "platt", float(platt.slope), float(platt.offset))


def _beta_is_better(sure: Floats, good: Floats) -> bool:
    """Say whether the beta map beats Platt's out of fold by more than a standard error."""
    fold = np.arange(sure.size) % FOLDS
    if any(np.ptp(good[fold != part]) == 0 for part in range(FOLDS)):
        return False
    fits = dict(MAPS)
    errors = [(out_of_fold(fits[name], sure, good, fold) - good) ** 2 for name in ("platt", "beta")]
    gain = errors[0] - errors[1]
    return bool(gain.mean() > gain.std() / np.sqrt(gain.size))


def with_confidence(table: Panel, maps: Mapping[str, Calibrator]) -> Panel:
    """Return the panel with the signal `TIER.confidence` of every tier that has a map."""
    for tier, calibrator in maps.items():
        unread = np.full(table.n, np.nan)
        raw = table.signals.get(f"{tier}.{calibrator.signal}", unread)
        read = [calibrator.apply({calibrator.signal: float(value)}) for value in raw]
        values = np.array([np.nan if value is None else value for value in read], dtype=float)
        table = table.with_signal(confidence_of(tier), values)
    return table
