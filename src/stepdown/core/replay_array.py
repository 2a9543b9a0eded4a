"""Replay a whole table of outcomes through a policy at once: the vectorised twin of `replay`.

It walks the table state by state with index arrays, so a million rows cost a few milliseconds a
state. A property test holds it equal to `replay` for every policy and outcome. It knows nothing
of what a signal means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.core.outcome import Outcome, by_query
from stepdown.core.policy import Action, Clause, Policy, Row, answer_in, polished, tiers_in
from stepdown.core.replay import named_signals

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


class Panel(Struct, frozen=True):
    """Outcomes as arrays: one entry a query, unknown is NaN, missing tiers are not `available`.

    `score`, `cost_usd`, `latency_s`, `available`, `failure` map a tier (or `DRAFT>POLISH`) to an
    array of shape (n,); `failure` holds strings, empty when the answer can be used. `signals`
    maps a full name (`expert.confidence`, `draw`) to an array of shape (n,).
    """

    query_ids: tuple[str, ...]
    groups: tuple[str | None, ...]
    score: Mapping[str, Floats]
    cost_usd: Mapping[str, Floats]
    latency_s: Mapping[str, Floats]
    available: Mapping[str, NDArray[np.bool_]]
    failure: Mapping[str, NDArray[np.object_]]
    signals: Mapping[str, Floats]

    @property
    def n(self) -> int:
        """Number of queries."""
        return len(self.query_ids)

    def take(self, index: Index) -> Panel:
        """Return the panel of some of the queries."""
        cut = {
            name: {key: array[index] for key, array in getattr(self, name).items()}
            for name in ("score", "cost_usd", "latency_s", "available", "failure", "signals")
        }
        return Panel(
            tuple(self.query_ids[i] for i in index), tuple(self.groups[i] for i in index), **cut
        )

    def with_signal(self, name: str, values: Floats) -> Panel:
        """Return the panel with one more signal."""
        return Panel(
            self.query_ids,
            self.groups,
            self.score,
            self.cost_usd,
            self.latency_s,
            self.available,
            self.failure,
            {**self.signals, name: values},
        )


class ReplayedArray(Struct, frozen=True):
    """What the policy does with each query; arrays of shape (n,), unknown is NaN."""

    answer: NDArray[np.object_]
    called: NDArray[np.object_]
    reason: NDArray[np.object_]
    outside_guarantee: NDArray[np.object_]
    score: Floats
    cost_usd: Floats
    latency_s: Floats


def panel(outcomes: Iterable[Outcome]) -> Panel:
    """Return the panel of some outcomes, queries in order of first appearance."""
    table = by_query(outcomes)
    tiers = list(dict.fromkeys(tier for row in table.values() for tier in row))
    rows = list(table.values())
    return Panel(
        query_ids=tuple(table),
        groups=tuple(next(iter(row.values())).group for row in rows),
        score={t: _column(rows, t, "score") for t in tiers},
        cost_usd={t: _column(rows, t, "cost_usd") for t in tiers},
        latency_s={t: _column(rows, t, "latency_s") for t in tiers},
        available={t: _available(rows, t) for t in tiers},
        failure={t: _failures(rows, t) for t in tiers},
        signals=_signals(rows),
    )


def _column(rows: list[dict[str, Outcome]], tier: str, name: str) -> Floats:
    values = [getattr(row[tier], name) if tier in row else None for row in rows]
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _available(rows: list[dict[str, Outcome]], tier: str) -> NDArray[np.bool_]:
    return np.array([tier in row and row[tier].failure != "unavailable" for row in rows], bool)


def _failures(rows: list[dict[str, Outcome]], tier: str) -> NDArray[np.object_]:
    found = [(row[tier].failure or "") if tier in row else "" for row in rows]
    return np.array(found, dtype=object)


def _signals(rows: list[dict[str, Outcome]]) -> dict[str, Floats]:
    named = [
        {k: v for outcome in row.values() for k, v in named_signals(outcome).items()}
        for row in rows
    ]
    names = sorted({name for row in named for name in row})
    return {
        name: np.array([_number(row.get(name)) for row in named], dtype=float) for name in names
    }


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def replay_array(policy: Policy, table: Panel) -> ReplayedArray:
    """Return what `policy` does with every query of `table`."""
    run = _Run(policy, table)
    run.state((), np.arange(table.n))
    return run.result()


class _Run:
    """The books of one vectorised replay: index arrays flow from state to state."""

    def __init__(self, policy: Policy, table: Panel) -> None:
        self.policy = policy
        self.table = table
        n = table.n
        self.answer: NDArray[np.object_] = np.full(n, None, dtype=object)
        self.called: NDArray[np.object_] = np.full(n, None, dtype=object)
        self.reason: NDArray[np.object_] = np.full(n, "", dtype=object)
        self.outside: NDArray[np.object_] = np.full(n, "", dtype=object)
        self.score = np.full(n, np.nan)
        self.cost = np.zeros(n)
        self.latency = np.zeros(n)

    def result(self) -> ReplayedArray:
        outside = self.outside.copy()
        outside[outside == ""] = None
        return ReplayedArray(
            self.answer, self.called, self.reason, outside, self.score, self.cost, self.latency
        )

    def state(self, called: tuple[str, ...], rows: Index) -> None:
        """Decide for the queries `rows`, which all are in the state `called`."""
        if not rows.size:
            return
        row = self.policy.by_state.get(called)
        if row is None:
            self.beyond(called, rows, "unforeseen_state")
            return
        for clause in row.when:
            holds = self.holds(clause, called, rows)
            self.act(clause.then, called, rows[holds], clause.reason)
            rows = rows[~holds]
        for reason, group in self.otherwise(row, rows):
            self.act(row.otherwise, called, group, reason)

    def holds(self, clause: Clause, called: tuple[str, ...], rows: Index) -> NDArray[np.bool_]:
        usable = self.failed(answer_in(clause.then, called), rows) == ""
        return np.asarray(usable & (self.signal(clause.signal, rows) >= clause.at_least))

    def otherwise(self, row: Row, rows: Index) -> list[tuple[str, Index]]:
        """Split the queries that no clause took by the reason of the row's last word."""
        if not row.when or not rows.size:
            return [(row.reason, rows)]
        clause = row.when[-1]
        failure = self.failed(answer_in(clause.then, row.called), rows)
        unknown = np.isnan(self.signal(clause.signal, rows))
        reasons = np.where(failure != "", failure, np.where(unknown, "no_confidence", row.reason))
        return [(str(r), rows[reasons == r]) for r in sorted(set(reasons.tolist()))]

    def act(self, action: Action, called: tuple[str, ...], rows: Index, reason: str) -> None:
        if not rows.size:
            return
        failure = self.failed(answer_in(action, called), rows)
        for kind in sorted(set(failure.tolist()) - {""}):
            self.beyond(called, rows[failure == kind], kind)
        rows = rows[failure == ""]
        if action.kind in ("call", "polish"):
            up = self.up(action.target, rows)
            if action.kind == "polish":
                up &= self.up(polished(tiers_in(called)[-1], action.target), rows)
            self.beyond(called, rows[~up], "unavailable")
            rows = rows[up]
        self.go(action, called, rows, reason)

    def go(self, action: Action, called: tuple[str, ...], rows: Index, reason: str) -> None:
        if action.kind == "call":
            self.pay(action.target, rows)
            self.state((*called, action.target), rows)
        elif action.kind == "buy":
            self.state((*called, f"?{action.target}"), rows)
        else:
            self.end(action, called, rows, reason)

    def beyond(self, called: tuple[str, ...], rows: Index, why: str) -> None:
        """Follow `decide._beyond`: the strongest tier that has, or can give, an answer."""
        self.outside[rows] = np.where(self.outside[rows] == "", why, self.outside[rows])
        for tier in reversed(self.policy.tiers):
            if not rows.size:
                return
            if tier in called:
                usable = self.failed(tier, rows) == ""
                self.end(Action("accept", tier), called, rows[usable], why)
            else:
                usable = self.up(tier, rows)
                self.pay(tier, rows[usable])
                self.state((*called, tier), rows[usable])
            rows = rows[~usable]
        self.end(Action("abstain"), called, rows, why)

    def end(self, action: Action, called: tuple[str, ...], rows: Index, reason: str) -> None:
        if not rows.size:
            return
        if action.kind == "polish":
            self.finish(action.target, called, rows, reason)
            return
        answer = action.target or None
        self.answer[rows] = answer
        self.called[rows] = _repeat(called, rows.size)
        self.reason[rows] = reason
        if answer is not None:
            self.score[rows] = self.table.score[answer][rows]

    def finish(self, tier: str, called: tuple[str, ...], rows: Index, reason: str) -> None:
        """Polish the last draft; where that failed the draft stands."""
        draft = tiers_in(called)[-1]
        name = polished(draft, tier)
        self.pay(name, rows)
        good = self.failed(name, rows) == ""
        self.end(Action("accept", name), called, rows[good], reason)
        self.end(Action("accept", draft), called, rows[~good], "polish_failed")

    def pay(self, tier: str, rows: Index) -> None:
        if not rows.size:
            return
        self.cost[rows] += self.table.cost_usd[tier][rows]
        self.latency[rows] += self.table.latency_s[tier][rows]

    def signal(self, name: str, rows: Index) -> Floats:
        if name not in self.table.signals:
            return np.full(rows.size, np.nan)
        return self.table.signals[name][rows]

    def failed(self, tier: str, rows: Index) -> NDArray[np.object_]:
        if tier not in self.table.failure:
            return np.full(rows.size, "", dtype=object)
        return self.table.failure[tier][rows]

    def up(self, tier: str, rows: Index) -> NDArray[np.bool_]:
        if tier not in self.table.available:
            return np.zeros(rows.size, dtype=bool)
        return self.table.available[tier][rows]


def _repeat(called: tuple[str, ...], n: int) -> NDArray[np.object_]:
    filled = np.empty(n, dtype=object)
    filled[:] = [called] * n
    return filled
