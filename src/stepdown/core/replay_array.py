"""Replay a whole table of outcomes through a policy at once: the vectorised twin of `replay`.

It walks the table state by state with index arrays; what it writes down for a query are small
integers, so a million rows cost a few milliseconds a state. A property test holds it equal to
`replay` for every policy and outcome. It knows nothing of what a signal means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from stepdown.core.answers import answer_key
from stepdown.core.derived import Derived, Lead, Linear, logistic
from stepdown.core.outcome import BOUGHT, Outcome, by_query, named_signals
from stepdown.core.policy import Action, Clause, Policy, Row, answer_in, pair_in, polished, tiers_in

Floats = NDArray[np.float64]
Index = NDArray[np.intp]
Codes = NDArray[np.int32]
Objects = NDArray[np.object_]
USABLE = 0  # the code of an answer that did not fail
UNKNOWN = -1  # the code of an answer that is not known


class Panel(Struct, frozen=True):
    """Outcomes as arrays: one entry a query, unknown is NaN, missing tiers are not `available`.

    `score`, `cost_usd`, `latency_s`, `available`, `failure`, `answers` map a tier (or
    `DRAFT>POLISH`, or `?SIGNAL` for one that was bought) to an array of shape (n,). `failure`
    holds places in `failures` (0: the answer can be used), `answers` codes that are equal where
    two answers count as the same (-1: unknown). `signals` maps a full name (`expert.confidence`,
    `draw`) to an array of shape (n,).
    """

    query_ids: Sequence[str]
    groups: Sequence[str | None]
    score: Mapping[str, Floats]
    cost_usd: Mapping[str, Floats]
    latency_s: Mapping[str, Floats]
    available: Mapping[str, NDArray[np.bool_]]
    failure: Mapping[str, Codes]
    signals: Mapping[str, Floats]
    failures: tuple[str, ...] = ("",)
    answers: Mapping[str, Codes] = {}
    prompts: Sequence[str | None] = ()
    segments: Sequence[str | None] = ()
    truths: Sequence[str | None] = ()
    texts: Mapping[str, Sequence[str | None]] = {}

    @property
    def n(self) -> int:
        """Number of queries."""
        return len(self.query_ids)

    @property
    def tiers(self) -> tuple[str, ...]:
        """Every tier with outcomes, without signals that were bought."""
        return tuple(name for name in self.score if not name.startswith(BOUGHT))

    def take(self, index: Index) -> Panel:
        """Return the panel of some of the queries."""
        by_tier = ("score", "cost_usd", "latency_s", "available", "failure", "signals", "answers")
        cut = {
            name: {key: array[index] for key, array in getattr(self, name).items()}
            for name in by_tier
        }
        listed = {n: _pick(getattr(self, n), index) for n in ("prompts", "segments", "truths")}
        texts = {tier: _pick(column, index) for tier, column in self.texts.items()}
        ids, groups = _pick(self.query_ids, index), _pick(self.groups, index)
        return structs.replace(self, query_ids=ids, groups=groups, texts=texts, **cut, **listed)

    def with_signal(self, name: str, values: Floats) -> Panel:
        """Return the panel with one more signal."""
        return structs.replace(self, signals={**self.signals, name: values})

    def with_derived(self, derived: Mapping[str, Derived]) -> Panel:
        """Return the panel with the values of some derived signals, so that none is made twice."""
        everything = np.arange(self.n)
        made = {name: _value(name, derived, self, everything) for name in derived}
        return structs.replace(self, signals={**self.signals, **made})


def _pick(column: Sequence[str | None], index: Index) -> tuple[str | None, ...]:
    return tuple(column[i] for i in index) if len(column) else ()


class ReplayedArray(Struct, frozen=True, dict=True):
    """What the policy does with each query; arrays of shape (n,), unknown is NaN.

    `answer_at`, `called_at`, `reason_at`, `outside_at` are places in `answers`, `states`,
    `reasons` (both of the last); the properties spell them out.
    """

    answer_at: Codes
    called_at: Codes
    reason_at: Codes
    outside_at: Codes
    answers: tuple[str | None, ...]
    states: tuple[tuple[str, ...], ...]
    reasons: tuple[str | None, ...]
    score: Floats
    cost_usd: Floats
    latency_s: Floats

    @property
    def answer(self) -> Objects:
        """The tier (or `DRAFT>POLISH`) that answered, None where nobody did."""
        return _spelled(self.answers, self.answer_at)

    @property
    def called(self) -> Objects:
        """The state in which each query ended."""
        return _spelled(self.states, self.called_at)

    @property
    def reason(self) -> Objects:
        """The reason of the last decision."""
        return _spelled(self.reasons, self.reason_at)

    @property
    def outside_guarantee(self) -> Objects:
        """What the policy did not foresee, None where it foresaw all."""
        return _spelled(self.reasons, self.outside_at)

    def answered_by(self, tier: str | None) -> NDArray[np.bool_]:
        """Say which queries a tier answered."""
        if tier not in self.answers:
            return np.zeros(len(self.answer_at), dtype=bool)
        return np.asarray(self.answer_at == self.answers.index(tier))

    def share_by_answer(self) -> dict[str | None, float]:
        """Return the share of queries that each tier answered, largest first."""
        counts = np.bincount(self.answer_at, minlength=len(self.answers))
        found = zip(self.answers, counts.tolist(), strict=True)
        total = max(1, len(self.answer_at))
        ranked = sorted(((name, n) for name, n in found if n), key=lambda pair: -pair[1])
        return {name: n / total for name, n in ranked}

    def called_tier(self, tier: str) -> NDArray[np.bool_]:
        """Say for which queries a tier was called."""
        inside = np.array([tier in state for state in self.states], dtype=bool)
        return np.asarray(inside[self.called_at])


def _spelled(names: Sequence[object], places: Codes) -> Objects:
    table = np.empty(len(names), dtype=object)
    table[:] = names
    return np.asarray(table[places])


def panel(outcomes: Iterable[Outcome]) -> Panel:
    """Return the panel of some outcomes, queries in order of first appearance."""
    table = by_query(outcomes)
    tiers = list(dict.fromkeys(tier for row in table.values() for tier in row))
    rows = list(table.values())
    failures = _failure_names(rows)
    codes: dict[str, int] = {}
    return Panel(
        query_ids=tuple(table),
        groups=_first(rows, "group"),
        score={t: _column(rows, t, "score") for t in tiers},
        cost_usd={t: _column(rows, t, "cost_usd") for t in tiers},
        latency_s={t: _column(rows, t, "latency_s") for t in tiers},
        available={t: _available(rows, t) for t in tiers},
        failure={t: _failures(rows, t, failures) for t in tiers},
        signals=_signals(rows),
        failures=tuple(failures),
        answers={t: _answers(rows, t, codes) for t in tiers if not t.startswith(BOUGHT)},
        prompts=_first(rows, "prompt"),
        segments=_first(rows, "segment"),
        truths=_first(rows, "truth"),
        texts={t: tuple(_text(row, t) for row in rows) for t in tiers if not t.startswith(BOUGHT)},
    )


Rows = list[dict[str, Outcome]]


def _first(rows: Rows, name: str) -> tuple[str | None, ...]:
    """What the first outcome of each query that knows it says."""
    known = ((getattr(outcome, name) for outcome in row.values()) for row in rows)
    return tuple(next((value for value in values if value is not None), None) for values in known)


def _text(row: Mapping[str, Outcome], tier: str) -> str | None:
    return row[tier].answer if tier in row else None


def _column(rows: Rows, tier: str, name: str) -> Floats:
    values = [getattr(row[tier], name) if tier in row else None for row in rows]
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _available(rows: Rows, tier: str) -> NDArray[np.bool_]:
    return np.array([tier in row and row[tier].failure != "unavailable" for row in rows], bool)


def _failure_names(rows: Rows) -> dict[str, int]:
    kinds = sorted({o.failure for row in rows for o in row.values() if o.failure})
    return {name: place for place, name in enumerate(("", *kinds))}


def _failures(rows: Rows, tier: str, places: Mapping[str, int]) -> Codes:
    found = [(row[tier].failure or "") if tier in row else "" for row in rows]
    return np.array([places[kind] for kind in found], dtype=np.int32)


def _answers(rows: Rows, tier: str, codes: dict[str, int]) -> Codes:
    """Code every answer by its key; `codes` is filled on the way and shared by all tiers."""
    found = np.full(len(rows), UNKNOWN, dtype=np.int32)
    for place, row in enumerate(rows):
        said = row[tier].answer if tier in row and not row[tier].failure else None
        if said is not None:
            found[place] = codes.setdefault(answer_key(said), len(codes))
    return found


def _signals(rows: Rows) -> dict[str, Floats]:
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


def _value(name: str, derived: Mapping[str, Derived], table: Panel, rows: Index) -> Floats:
    """Return a signal for some rows, NaN where unknown; the twin of `derived.value_of`."""
    if name in table.signals:
        return table.signals[name][rows]
    formula = derived.get(name)
    if isinstance(formula, Linear):
        return _linear(
            formula, [_value(i, derived, table, rows) for i in formula.inputs], rows.size
        )
    if isinstance(formula, Lead):
        return _lead(formula, [_value(i, derived, table, rows) for i in formula.inputs])
    return _agreement(table, pair_in(name), rows)


def _agreement(table: Panel, pair: set[str], rows: Index) -> Floats:
    if len(pair) != 2 or not pair <= set(table.answers):
        return np.full(rows.size, np.nan)
    first, second = (table.answers[tier][rows] for tier in sorted(pair))
    unknown = (first == UNKNOWN) | (second == UNKNOWN)
    return np.where(unknown, np.nan, (first == second).astype(float))


def _linear(formula: Linear, inputs: Sequence[Floats], size: int) -> Floats:
    """Add in the order of the scalar twin, so that both round alike."""
    total, seen = np.full(size, formula.bias), np.full(size, not inputs)
    for values, weight, fill in zip(inputs, formula.weights, formula.fill, strict=True):
        known = ~np.isnan(values)
        seen |= known
        total += weight * np.where(known, values, fill)
    if formula.link == "logistic":
        total = np.fromiter(map(logistic, total.tolist()), dtype=float, count=size)
    return np.where(seen, total, np.nan)


def _lead(formula: Lead, inputs: Sequence[Floats]) -> Floats:
    best = np.full(inputs[0].size, -np.inf)
    for values, price in zip(inputs[1:], formula.less[1:], strict=True):
        best = np.fmax(best, values - price)
    known = ~np.isnan(inputs[0]) & (best > -np.inf)
    return np.where(known, (inputs[0] - formula.less[0]) - np.where(known, best, 0.0), np.nan)


def replay_array(
    policy: Policy,
    table: Panel,
    derived: Mapping[str, Derived] = {},
    *,
    deadline_s: float | None = None,
    needs_s: Mapping[str, float] = {},
) -> ReplayedArray:
    """Return what `policy` does with every query of `table`, within `deadline_s` for each."""
    run = _Run(policy, table, derived, np.nan if deadline_s is None else deadline_s, needs_s)
    run.state((), np.arange(table.n))
    return run.result()


class _Names:
    """Places for values met on the way, in order of first use."""

    def __init__(self, *first: object) -> None:
        self._places = {value: place for place, value in enumerate(first)}

    def __getitem__(self, value: object) -> int:
        return self._places.setdefault(value, len(self._places))

    def all(self) -> tuple[object, ...]:
        return tuple(self._places)


class _Run:
    """The books of one vectorised replay: index arrays flow from state to state."""

    def __init__(
        self,
        policy: Policy,
        table: Panel,
        derived: Mapping[str, Derived],
        deadline_s: float,
        needs_s: Mapping[str, float],
    ) -> None:
        self.policy = policy
        self.table = table
        self.derived = derived
        self.deadline_s = deadline_s
        self.needs_s = needs_s
        self.answers, self.states, self.reasons = _Names(None), _Names(()), _Names(None, "")
        n = table.n
        self.answer = np.zeros(n, dtype=np.int32)
        self.called = np.zeros(n, dtype=np.int32)
        self.reason = np.zeros(n, dtype=np.int32)
        self.outside = np.zeros(n, dtype=np.int32)
        self.score = np.full(n, np.nan)
        self.cost = np.zeros(n)
        self.latency = np.zeros(n)

    def result(self) -> ReplayedArray:
        return ReplayedArray(
            self.answer,
            self.called,
            self.reason,
            self.outside,
            self.answers.all(),  # type: ignore[arg-type]
            self.states.all(),  # type: ignore[arg-type]
            self.reasons.all(),  # type: ignore[arg-type]
            self.score,
            self.cost,
            self.latency,
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
        sure = self.signal(clause.signal, rows) >= clause.at_least
        failure = self.failed(answer_in(clause.then, called), rows)
        return sure if failure is None else np.asarray(sure & (failure == USABLE))

    def otherwise(self, row: Row, rows: Index) -> list[tuple[str, Index]]:
        """Split the queries that no clause took by the reason of the row's last word."""
        if not row.when or not rows.size:
            return [(row.reason, rows)]
        clause = row.when[-1]
        found = []
        failure = self.failed(answer_in(clause.then, row.called), rows)
        if failure is not None:
            found = self.by_failure(failure, rows)
            rows = rows[failure == USABLE]
        unknown = np.isnan(self.signal(clause.signal, rows))
        return [*found, ("no_confidence", rows[unknown]), (row.reason, rows[~unknown])]

    def by_failure(self, failure: Codes, rows: Index) -> list[tuple[str, Index]]:
        kinds = [int(kind) for kind in np.unique(failure) if kind != USABLE]
        return [(self.table.failures[kind], rows[failure == kind]) for kind in kinds]

    def act(self, action: Action, called: tuple[str, ...], rows: Index, reason: str) -> None:
        if not rows.size:
            return
        failure = self.failed(answer_in(action, called), rows)
        if failure is not None:
            for kind, failed in self.by_failure(failure, rows):
                self.beyond(called, failed, kind)
            rows = rows[failure == USABLE]
        if action.kind in ("call", "polish"):
            up = self.up(action.target, rows)
            if action.kind == "polish":
                up = up & self.up(polished(tiers_in(called)[-1], action.target), rows)
            self.beyond(called, rows[~up], "unavailable")
            rows = rows[up]
            late = self.late(action.target, rows)
            self.beyond(called, rows[late], "deadline")
            rows = rows[~late]
        self.go(action, called, rows, reason)

    def go(self, action: Action, called: tuple[str, ...], rows: Index, reason: str) -> None:
        if action.kind == "call":
            self.pay(action.target, rows)
            self.state((*called, action.target), rows)
        elif action.kind == "buy":
            bought = f"{BOUGHT}{action.target}"
            self.pay(bought, rows[self.up(bought, rows)])
            self.state((*called, bought), rows)
        else:
            self.end(action, called, rows, reason)

    def beyond(self, called: tuple[str, ...], rows: Index, why: str) -> None:
        """Follow `decide.beyond`: the strongest tier that has, or can give, an answer."""
        if not rows.size:
            return
        place = self.reasons[why]
        self.outside[rows] = np.where(self.outside[rows] == 0, place, self.outside[rows])
        for tier in reversed(self.policy.tiers):
            if not rows.size:
                return
            if tier in called:
                failure = self.failed(tier, rows)
                usable = np.ones(rows.size, bool) if failure is None else failure == USABLE
                self.end(Action("accept", tier), called, rows[usable], why)
            else:
                usable = self.up(tier, rows) & ~self.late(tier, rows)
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
        self.answer[rows] = self.answers[answer]
        self.called[rows] = self.states[called]
        self.reason[rows] = self.reasons[reason]
        if answer is not None:
            self.score[rows] = self.table.score[answer][rows]

    def finish(self, tier: str, called: tuple[str, ...], rows: Index, reason: str) -> None:
        """Polish the last draft; where that failed the draft stands."""
        draft = tiers_in(called)[-1]
        name = polished(draft, tier)
        self.pay(name, rows)
        good = self.table.failure[name][rows] == USABLE
        self.end(Action("accept", name), called, rows[good], reason)
        self.end(Action("accept", draft), called, rows[~good], "polish_failed")

    def pay(self, tier: str, rows: Index) -> None:
        if not rows.size:
            return
        self.cost[rows] += self.table.cost_usd[tier][rows]
        self.latency[rows] += self.table.latency_s[tier][rows]

    def signal(self, name: str, rows: Index) -> Floats:
        return _value(name, self.derived, self.table, rows)

    def failed(self, tier: str, rows: Index) -> Codes | None:
        """The failures of a tier's answers, None where no tier or no failure is concerned."""
        if tier not in self.table.failure:
            return None
        return self.table.failure[tier][rows]

    def up(self, tier: str, rows: Index) -> NDArray[np.bool_]:
        if tier not in self.table.available:
            return np.zeros(rows.size, dtype=bool)
        return self.table.available[tier][rows]

    def late(self, tier: str, rows: Index) -> NDArray[np.bool_]:
        """Say for which queries a tier cannot answer in time; unknown time (NaN) is no reason."""
        left = self.deadline_s - self.latency[rows]
        return np.asarray(left - self.needs_s.get(tier, 0.0) <= 0)
