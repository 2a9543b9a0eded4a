"""The rules beside a locked policy, played on the rows that all of them have a score for.

What is fitted here (hull, prior, oracle) is fitted on these very rows: a yardstick, not a policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import msgspec
import numpy as np

from stepdown.core.digest import digest, seed_from
from stepdown.core.lock import Estimate, LockedTask
from stepdown.core.policy import Policy, single
from stepdown.core.replay_array import Panel
from stepdown.stats import frontier
from stepdown.stats.bootstrap import bootstrap_interval
from stepdown.stats.frontier import Frontier
from stepdown.wiring.estimating import Floats, Groups, groups_of
from stepdown.wiring.frontier_file import Alternative
from stepdown.wiring.played import Played, between, blend, hull_of, mix_at, play
from stepdown.wiring.segment_prior import Ints, prior_choices

SOURCE = "replayed rows"
AREA_RESAMPLES = 200  # each one builds the oracle's frontier anew
NOTHING_SCORED = "No row has a score for every rule, so nothing can be compared."
UNPRICED = "Some costs are unknown, so there is no hull, no prior and no oracle."
BELOW = "The policy costs less than any tier alone, so no hull has its cost."
NO_SEGMENTS = "No task prior: the outcomes name fewer than two values of `segment`."
PRIOR = (
    "task prior: the tier with the best shrunk mean score (less a price on cost) in the query's "
    "segment, fitted on the other folds of these rows."
)
ORACLE = "oracle: the best tier of each query, chosen with the answers known."


def tiers_of(locked: LockedTask, table: Panel) -> list[str]:
    """Return the tiers that the table knows, weakest first."""
    return [tier for tier in locked.policy.tiers if tier in table.score]


def always(tier: str, locked: LockedTask) -> Policy:
    """Return the policy that always asks a tier; where it is down the others serve as ever."""
    return msgspec.structs.replace(single(tier), tiers=locked.policy.tiers)


def scored(locked: LockedTask, table: Panel) -> Ints:
    """Return the rows on which the locked policy and every tier alone have a score."""
    policies = [locked.policy, *(always(tier, locked) for tier in tiers_of(locked, table))]
    played = [play("", "", policy, table, locked.signals).score for policy in policies]
    return np.flatnonzero(~np.isnan(played).any(axis=0)).astype(np.int64)


class Rivals:
    """The locked policy, every tier alone, the tested path, and what is fitted on the rows.

    `notes` say how each yardstick was made, or why it is missing.
    """

    def __init__(
        self, locked: LockedTask, table: Panel, alternatives: Sequence[Alternative]
    ) -> None:
        self.table = table
        self.groups: Groups | None = groups_of(table.groups, table.query_ids)
        self.locked = play("locked policy", "locked", locked.policy, table, locked.signals)
        self.singles = self._singles(locked)
        self.path = [play("", "path", a.policy, table, a.signals) for a in alternatives]
        self.notes: list[str] = []
        self.static = self._static()

    def _singles(self, locked: LockedTask) -> list[Played]:
        found = [
            play(tier, "single", always(tier, locked), self.table, locked.signals)
            for tier in tiers_of(locked, self.table)
        ]
        priced = self.table.n > 0 and all(one.priced for one in found)
        ranked = sorted(found, key=lambda one: one.at[0]) if priced else found
        marks = {one.name: " (smallest)" for one in ranked[:1]}
        marks[locked.policy.ceiling] = " (ceiling)"
        return [
            msgspec.structs.replace(one, name=f"always {one.name}{marks.get(one.name, '')}")
            for one in found
        ]

    def _static(self) -> Frontier | None:
        if not self.table.n:
            self.notes.append(NOTHING_SCORED)
            return None
        if not all(one.priced for one in [self.locked, *self.singles]):
            self.notes.append(UNPRICED)
            return None
        return hull_of(self.singles)

    def yardsticks(self) -> list[Played]:
        """Return static hull and task prior at the locked policy's cost, and the oracle."""
        if self.static is None:
            return []
        return [*self._hull(self.static), *self.prior(), self._oracle()]

    def _hull(self, static: Frontier) -> list[Played]:
        mixed = mix_at(self.singles, static, self.locked.at[0])
        if mixed is None:
            self.notes.append(BELOW)
            return []
        share, low, high = mixed
        said = high.name if share >= 1 else f"{share:.1%} {high.name}, else {low.name}"
        self.notes.append(f"static hull: the best random mix of tiers at this cost: {said}.")
        return [blend("static hull, same cost", "hull", *mixed)]

    def prior(self) -> list[Played]:
        """Return the task prior at the locked policy's cost, and with the best score."""
        if self.static is None:
            return []
        choices = self._choices()
        self.notes.append(PRIOR if choices else NO_SEGMENTS)
        if not choices:
            return []
        played = [self._chosen(choice) for choice in choices]
        mixed = between(sorted(played, key=lambda one: one.at[0]), self.locked.at[0])
        same = [] if mixed is None else [blend("task prior, same cost", "prior", *mixed)]
        return [*same, msgspec.structs.replace(played[0], name="task prior, best score")]

    def _choices(self) -> list[Ints]:
        score, cost = self._columns
        seed = seed_from(digest(list(self.table.query_ids)))
        return prior_choices(self.table.segments, score, cost, self.groups, seed)

    @cached_property
    def _columns(self) -> tuple[Floats, Floats]:
        """Scores and costs of the tiers alone, shape (n, tiers)."""
        score = np.array([one.score for one in self.singles]).T
        return score, np.array([one.cost for one in self.singles]).T

    def _chosen(self, choice: Ints) -> Played:
        score, cost = self._columns
        rows = np.arange(choice.size)
        return Played("", "prior", score[rows, choice], cost[rows, choice])

    def _oracle(self) -> Played:
        """The best tier of each query, of these the cheapest."""
        self.notes.append(ORACLE)
        score, cost = self._columns
        best = score.max(axis=1)
        least = np.where(score == best[:, None], cost, np.inf).min(axis=1)
        return Played("oracle", "oracle", best, least)

    def oracle(self, rows: Ints | None = None) -> Frontier:
        """Return the oracle's frontier on some rows, on all where none are named."""
        score, cost = self._columns
        return (
            frontier.oracle(score, cost)
            if rows is None
            else frontier.oracle(score[rows], cost[rows])
        )

    def area(self) -> Estimate | None:
        """Return the share of the area between hull and oracle that the policies close.

        The policies are the locked one and the tested path, mixed with each other and with tiers.
        """
        if self.static is None:
            return None
        mine = [*self.singles, self.locked, *(one for one in self.path if one.priced)]
        corners = [mine[place] for place in hull_of(mine).index]
        value = frontier.area_share(hull_of(mine), self.static, self.oracle())
        if value is None:
            return None
        found = bootstrap_interval(
            lambda rows: self._area_on(rows, corners),
            self.table.n,
            self.groups,
            seed=seed_from(digest(list(self.table.query_ids))),
            resamples=AREA_RESAMPLES,
        )
        return Estimate(value, found.low, found.high, found.n, "share", SOURCE)

    def _area_on(self, rows: Ints, corners: Sequence[Played]) -> float | None:
        singles = [one.take(rows) for one in self.singles]
        mine = [*singles, *(one.take(rows) for one in corners)]
        return frontier.area_share(hull_of(mine), hull_of(singles), self.oracle(rows))
