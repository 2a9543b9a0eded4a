"""A rule played on recorded rows: what it scores and costs on each, and mixes of two rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct

from stepdown.core.derived import Derived
from stepdown.core.policy import Policy
from stepdown.core.replay_array import Panel, replay_array
from stepdown.stats import frontier
from stepdown.stats.arrays import Floats, Ints
from stepdown.stats.frontier import Frontier


class Played(Struct, frozen=True, eq=False):
    """What a rule scores and costs on each row, arrays of shape (n,)."""

    name: str
    kind: str
    score: Floats
    cost: Floats

    @property
    def at(self) -> tuple[float, float]:
        """Mean cost and mean score."""
        return float(self.cost.mean()), float(self.score.mean())

    @property
    def priced(self) -> bool:
        """Whether the cost of every row is known."""
        return not bool(np.isnan(self.cost).any())

    def take(self, rows: Ints) -> Played:
        """Return the rule on some rows, which may repeat."""
        return Played(self.name, self.kind, self.score[rows], self.cost[rows])


def play(
    name: str, kind: str, policy: Policy, table: Panel, derived: Mapping[str, Derived]
) -> Played:
    """Return what a policy does with every row; an abstention scores 0."""
    done = replay_array(policy, table, derived)
    score = np.where(done.answered_by(None), 0.0, done.score)
    return Played(name, kind, score, done.cost_usd)


def hull_of(played: Sequence[Played]) -> Frontier:
    """Return the upper envelope of the rules' mean cost and mean score."""
    return frontier.hull([one.at[0] for one in played], [one.at[1] for one in played])


def mix_at(
    played: Sequence[Played], static: Frontier, cost: float
) -> tuple[float, Played, Played] | None:
    """Return the mix on the hull that costs `cost`: share of the second rule, first, second."""
    found = frontier.hull_mix(cost, static)
    return None if found is None else (found[2], played[found[0]], played[found[1]])


def between(by_cost: Sequence[Played], cost: float) -> tuple[float, Played, Played] | None:
    """Return the two neighbours in cost whose mix costs `cost`; the dearest where all cost less."""
    if by_cost[-1].at[0] <= cost:
        return 1.0, by_cost[-1], by_cost[-1]
    above = next(place for place, one in enumerate(by_cost) if one.at[0] > cost)
    if above == 0:
        return None
    low, high = by_cost[above - 1], by_cost[above]
    return (cost - low.at[0]) / (high.at[0] - low.at[0]), low, high


def blend(name: str, kind: str, share: float, low: Played, high: Played) -> Played:
    """Return the random mix of two rules, as what each row may expect of it."""
    score = (1 - share) * low.score + share * high.score
    return Played(name, kind, score, (1 - share) * low.cost + share * high.cost)
