"""An alarm that may be looked at as often as one likes: an e-process that begins anew every day.

Losses in, evidence out. The state has one number for each alternative, however long the stream is.
Assumption: while nothing changes, each loss has a mean of at most `null` given those before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from stepdown.stats.arrays import Floats, probability, vector

# Odds of a loss against those of the null, with the part of the chance that is bet on each: small
# shifts get most of it, because they take the longest to be seen.
RATIOS: Mapping[float, float] = MappingProxyType({1.7: 0.65, 4.0: 0.2, 20.0: 0.15})


@dataclass(frozen=True)
class Watch:
    """What is watched: a mean loss of at most `null` in 0..1, for `days` days with evidence.

    `alternatives` are mean losses above it, `weights` what is bet on each. Within the days the
    chance that the evidence ever reaches 1 / `alpha` is at most `alpha`.
    """

    null: float
    alternatives: tuple[float, ...]
    weights: tuple[float, ...]
    days: int
    alpha: float

    def __post_init__(self) -> None:
        """Refuse a null or an alternative on which nobody can bet, and a watch without a day."""
        probability("null", self.null)
        probability("alpha", self.alpha)
        if not self.alternatives or min(self.alternatives) <= self.null:
            raise ValueError("alternatives must be mean losses above the null")
        sums = len(self.weights) == len(self.alternatives) and sum(self.weights) <= 1 + 1e-9
        if not sums or min(self.weights) <= 0:
            raise ValueError("each alternative has a weight above 0, and they sum to 1 at most")
        if max(self.alternatives) >= 1 or self.days < 1:
            raise ValueError("alternatives must lie below 1, and a watch has a day at least")

    @property
    def limit(self) -> float:
        """The evidence that rings."""
        return 1 / self.alpha

    def increments(self, losses: Floats) -> Floats:
        """Return log(1 + bet x (loss - null)) for each alternative and loss.

        Of losses that are 0 or 1 this is the log likelihood ratio of the alternative.
        """
        at, null = np.asarray(self.alternatives)[:, None], self.null
        bets = (at - null) / (null * (1 - null))
        found: Floats = np.log1p(bets * (losses[None, :] - null))
        return found


def watch(null: float, *, days: int, alpha: float, ratios: Mapping[float, float] = RATIOS) -> Watch:
    """Return a watch; `ratios` maps times the odds of the null to what is bet on them."""
    probability("null", null)
    odds = [ratio * null / (1 - null) for ratio in ratios]
    alternatives = tuple(one / (1 + one) for one in odds)
    return Watch(null, alternatives, tuple(ratios.values()), days, alpha)


@dataclass(frozen=True)
class Watched:
    """Where a watch stands: of size O(1).

    `log_s` is log S for each alternative, `highest` the most evidence that any look could see, and
    `rang_on` the day that it first reached the limit on. `since` and `run` tell, for each
    alternative, when a change most likely began: the start and sum of its best run.
    """

    log_s: tuple[float, ...]
    days: int = 0
    votes: int = 0
    rounds: int = 0
    evidence: float = 0.0
    highest: float = 0.0
    rang_on: int | None = None
    run: tuple[float, ...] = ()
    since: tuple[int, ...] = ()

    @property
    def rings(self) -> bool:
        """Whether the alarm has rung."""
        return self.rang_on is not None

    @property
    def changed_on(self) -> int | None:
        """The day on which a change most likely began, None while nothing speaks for one."""
        if not self.run or max(self.run) <= 0:
            return None
        return self.since[int(np.argmax(self.run))]


def begun(seen: Watch) -> Watched:
    """Return the state before the first day."""
    k = len(seen.alternatives)
    return Watched((-math.inf,) * k, run=(0.0,) * k, since=(0,) * k)


def after_day(seen: Watch, state: Watched, losses: ArrayLike, day: int) -> Watched:
    """Return the state after the losses of a day, in their order; `day` only names it.

    S_t = (S_{t-1} + 1/days) x product of (1 + bet x (loss - null)); the evidence is the
    weighted mean of S over the alternatives. A day without losses changes nothing and is not
    counted, so the state stands through a gap. After `days` days the watch begins anew, with a
    chance of its own.

    Source: the mixture over restarts of Shiryaev (1963) and Roberts (1966) with weights that sum to
    1, so that S + (weight not yet used) is a supermartingale and Ville (1939) holds for every look;
    bets: Waudby-Smith and Ramdas (2024), eq. 10. Start of a change: Page (1954).
    """
    values = vector("losses", losses, 0.0, 1.0) if np.size(losses) else np.zeros(0)
    if not values.size:
        return state
    if state.days >= seen.days:
        state = replace(begun(seen), rounds=state.rounds + 1, rang_on=state.rang_on)
    steps = np.cumsum(seen.increments(values), axis=1)
    before = np.logaddexp(np.asarray(state.log_s), -math.log(seen.days))
    whole = before[:, None] + steps + np.log(seen.weights)[:, None]
    path = np.exp(np.minimum(np.logaddexp.reduce(whole, axis=0), 700.0))
    run, since = _runs(state, steps[:, -1], day)
    highest = max(state.highest, float(path.max()))
    rings = state.rings or highest >= seen.limit
    return Watched(
        log_s=tuple((before + steps[:, -1]).tolist()),
        days=state.days + 1,
        votes=state.votes + values.size,
        rounds=state.rounds,
        evidence=float(path[-1]),
        highest=highest,
        rang_on=(state.rang_on if state.rings else day) if rings else None,
        run=run,
        since=since,
    )


def _runs(state: Watched, total: Floats, day: int) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Extend each alternative's run, or begin it on this day where nothing speaks for it."""
    goes_on = [one > 0 for one in state.run]
    run = [max(one, 0.0) + step for one, step in zip(state.run, total.tolist(), strict=True)]
    since = [was if on else day for was, on in zip(state.since, goes_on, strict=True)]
    return tuple(run), tuple(since)
