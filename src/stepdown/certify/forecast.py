"""Before spending: how many rows and labels a promise needs, by the test that will be run.

The rates come from tune rows, or from a question of "what if"; a forecast promises nothing. Few
tune rows without a loss promise too much, so every forecast is made a second time with one more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from stepdown.certify.promises import Measure
from stepdown.certify.search import Searched
from stepdown.core.replay_array import UNKNOWN, Panel, ReplayedArray, replay_array
from stepdown.core.task import Promise
from stepdown.errors import InputError
from stepdown.stats import planning
from stepdown.stats.planning import Plan
from stepdown.stats.power import kept_accuracy_power, noninferiority_power
from stepdown.stats.sequence import FIRST_SHARE

Bools = NDArray[np.bool_]
SHOWN = 6  # policies of the path for which a forecast is made


class Rates(Struct, frozen=True, kw_only=True):
    """What a policy does, as shares: `kept` of all rows; the others of the kept answers.

    `disagree`: differs from the ceiling's; `loss`, `gain`: scores less, more than the ceiling;
    `score`: mean score. `delivered` is the mean score of all answers. `n` rows were seen, 0 for a
    question of "what if".
    """

    kept: float
    disagree: float
    loss: float
    gain: float
    score: float
    delivered: float
    n: int = 0

    def with_one_more_loss(self) -> Rates:
        """Return the rates after one more kept answer that is wrong."""
        kept = self.kept * self.n
        after = kept + 1

        def more(rate: float, by: float) -> float:
            return min(1.0, (rate * kept + by) / after)

        return structs.replace(
            self,
            disagree=more(self.disagree, 1),
            loss=more(self.loss, 1),
            gain=more(self.gain, 0),
            score=more(self.score, 0),
            delivered=self.delivered * self.n / (self.n + 1),
        )


class Forecast(Struct, frozen=True, kw_only=True):
    """One policy: what it keeps, the plan as seen and with one more loss, and today's chance.

    `today` is the chance that the certify rows at hand decide; None without such rows. `beside`
    plans each recall that is promised too, by the share found on tune rows with one more miss.
    """

    searched: Searched | None
    rates: Rates
    plan: Plan
    careful: Plan | None
    today: float | None
    beside: Mapping[str, Plan] = {}


def rates_of(one: Searched, tune: Panel, ceiling: str) -> Rates:
    """Return what a policy does on the tune rows."""
    done = replay_array(one.policy, tune, one.derived)
    kept = ~done.answered_by(ceiling)
    share = float(kept.mean())
    gap = np.nan_to_num(done.score) - np.nan_to_num(tune.score[ceiling])
    among = gap[kept]
    differs = _differs(done, tune, ceiling)[kept] | (among != 0)
    return Rates(
        kept=share,
        disagree=_mean(differs),
        loss=_mean(among < 0),
        gain=_mean(among > 0),
        score=_mean(np.nan_to_num(done.score)[kept]),
        delivered=_mean(np.nan_to_num(done.score)),
        n=tune.n,
    )


def _mean(values: Bools | NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else 0.0


def _differs(done: ReplayedArray, table: Panel, ceiling: str) -> Bools:
    """Say where the answer sent is surely another than the ceiling's; unknown answers say no."""
    differs = np.zeros(table.n, dtype=bool)
    top = table.answers.get(ceiling)
    for tier in done.answers:
        if tier is not None and tier in table.answers and top is not None:
            sent = table.answers[tier]
            known = (sent != UNKNOWN) & (top != UNKNOWN)
            differs |= done.answered_by(tier) & known & (sent != top)
    return differs


def plan_for(main: str, limit: float, delta: float, rates: Rates) -> Plan:
    """Return the rows and labels that a promise needs when the rates are as given."""
    if main == "max_error_cost":
        raise InputError(
            "Labels for a table of error costs cannot be forecast.",
            "Certify on the rows that you have: the verdict says how many more are needed.",
        )
    if main == "floor":
        return planning.plan_floor(rates.delivered, limit, delta)
    if main == "min_score":
        return planning.plan_min_score(rates.kept, rates.score, limit, delta)
    if main == "min_agreement":
        return planning.plan_min_agreement(rates.kept, 1 - rates.disagree, limit, delta)
    if main == "max_disagreement":
        return planning.plan_max_disagreement(rates.kept, rates.disagree, limit, delta)
    wanted = (rates.kept, rates.disagree, rates.loss, rates.gain)
    return planning.plan_max_loss(*wanted, limit, delta)


def chance_today(main: str, limit: float, delta: float, rates: Rates, n: int) -> float:
    """Return the chance that `n` certify rows certify, when the rates are as given."""
    if main == "max_loss":
        minus, plus = rates.kept * rates.loss, rates.kept * rates.gain
        return noninferiority_power(n, minus, plus, limit, delta)
    if main == "max_disagreement":
        return kept_accuracy_power(n, 1 - rates.kept * rates.disagree, 1 - limit, delta)
    if main == "floor":
        return kept_accuracy_power(n, rates.delivered, limit, delta)
    right = rates.score if main == "min_score" else 1 - rates.disagree
    return kept_accuracy_power(round(n * rates.kept), right, limit, delta)


def forecast(
    promise: Promise,
    reference: str,
    delta: float,
    rates: Rates,
    n: int | None,
    searched: Searched | None = None,
    beside: Mapping[str, Plan] = {},
) -> Forecast:
    """Return what one policy, or one assumption, needs at its start, which has most of `delta`."""
    main, limit, delta = promise.main(reference), promise.limit(reference), delta * FIRST_SHARE
    careful = rates.with_one_more_loss() if rates.n else None
    return Forecast(
        searched=searched,
        rates=rates,
        plan=plan_for(main, limit, delta, rates),
        careful=None if careful is None else plan_for(main, limit, delta, careful),
        today=None if n is None else chance_today(main, limit, delta, rates, n),
        beside=beside,
    )


def recalls(
    one: Searched, tune: Panel, promises: Sequence[Measure], delta: float
) -> dict[str, Plan]:
    """Return the rows that each promised recall needs; one more miss than was seen is assumed."""
    done = replay_array(one.policy, tune, one.derived)
    found = {}
    for promise in promises[1:]:
        told = promise.judged(done).differences
        share = (told.size + float(told.sum())) / (told.size + 1)
        found[promise.name] = planning.plan_recall(
            told.size / tune.n, share, promise.level, delta * FIRST_SHARE
        )
    return found


def shown(along: Sequence[Searched]) -> tuple[Searched, ...]:
    """Return some policies of a path, spread over what they keep, without the ceiling."""
    below = along[1:]
    if len(below) <= SHOWN:
        return tuple(below)
    places = sorted({round(i) for i in np.linspace(0, len(below) - 1, SHOWN)})
    return tuple(below[place] for place in places)
