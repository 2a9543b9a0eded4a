"""Test a path of policies against every promise at once, from a start that other rows chose.

A policy passes when each of its promises does: its p-value is the largest of theirs (the
intersection-union test: Berger 1982), so several promises share one delta without dividing it.
Policies share it by a fixed sequence with fallback (Wiens 2003). Each is replayed once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from stepdown.certify.promises import Floats, Index, Judged, Measure
from stepdown.certify.search import Searched
from stepdown.core.derived import Derived
from stepdown.core.replay_array import Panel, replay_array
from stepdown.stats import bounds
from stepdown.stats.noninferiority import (
    GROUPED,
    INDEPENDENT,
    METHODS,
    PER_GROUP,
    Scores,
    one_row_per_group,
    paired_test,
)
from stepdown.stats.sequence import fallback_path, shares

Codes = NDArray[np.int64]
EXACT = "exact binomial tail (Clopper and Pearson 1934 for the bound)"
BETTING = (
    "betting, mixture over stakes, largest wealth in a seeded order (Waudby-Smith and Ramdas 2023; "
    "Ville 1939)"
)
UNION = "several promises at once: the largest of their p-values (intersection-union, Berger 1982)"
SEQUENCE = "fixed sequence with fallback (Wiens 2003)"
HALVINGS = 30  # of [-1, 1] in search of a bound: 2e-9


class Rows(Struct, frozen=True):
    """The certify rows as the tests see them.

    `index`: the rows tested, all or one of each group; `codes`: groups of dependent rows, of all
    rows, or None. `seed` is a digest of the rows.
    """

    table: Panel
    index: Index
    codes: Codes | None
    seed: int
    assumptions: str


def rows_of(table: Panel, seed: int, *, clustered: bool) -> Rows:
    """Return the rows to test: with groups either bet on by group, or one row of each."""
    named = [
        f"row {q}" if g is None else f"group {g}"
        for g, q in zip(table.groups, table.query_ids, strict=True)
    ]
    names, codes = np.unique(named, return_inverse=True)
    everything = np.arange(table.n)
    if names.size == table.n:
        return Rows(table, everything, None, seed, INDEPENDENT)
    if clustered:
        return Rows(table, everything, codes.astype(np.int64), seed, GROUPED)
    return Rows(table, one_row_per_group(codes, table.n, seed), None, seed, PER_GROUP)


class TestedPolicy(Struct, frozen=True, kw_only=True):
    """One policy of the path. `p_value` is None where no delta was left to test it.

    `figures` are what the rows say of each promise, None where no row counts; `cost_usd` the mean
    cost a call, NaN when unknown.
    """

    index: int
    p_value: float | None
    allowed: float
    passed: bool
    figures: tuple[float | None, ...] = ()
    cost_usd: float = np.nan


class TestedPath(Struct, frozen=True, kw_only=True):
    """Everything that was tested; index 0 is the ceiling, which needs no test."""

    policies: tuple[TestedPolicy, ...]
    promises: tuple[str, ...]
    delta: float
    n: int
    starts: tuple[tuple[int, float], ...]
    method: str
    assumptions: str

    @property
    def passed(self) -> tuple[int, ...]:
        """The policies that passed, without the ceiling."""
        return tuple(policy.index for policy in self.policies if policy.passed and policy.index)

    @property
    def certified(self) -> bool:
        """Say whether a policy other than the ceiling passed."""
        return bool(self.passed)


def tested_path(
    along: Sequence[Searched],
    rows: Rows,
    promises: Sequence[Measure],
    delta: float,
    start: int,
    second: int | None,
) -> TestedPath:
    """Test the path from `start` towards cheaper policies; 15% of delta at `second`, if any."""
    seen: dict[int, TestedPolicy] = {}
    rows = structs.replace(rows, table=rows.table.with_derived(shared(along)))

    def p_value(place: int) -> float:
        seen[place] = _tested(along[place], place, rows, promises, delta)
        return seen[place].p_value or 0.0

    starts = shares(start, second, delta)
    steps = fallback_path(len(along), p_value, starts)
    ceiling = TestedPolicy(index=0, p_value=None, allowed=0.0, passed=True)
    policies = [ceiling]
    for place, step in enumerate(steps[1:], 1):
        found = seen.get(place, TestedPolicy(index=place, p_value=None, allowed=0.0, passed=False))
        policies.append(
            TestedPolicy(
                index=place,
                p_value=found.p_value,
                allowed=step.allowed,
                passed=step.passed,
                figures=found.figures,
                cost_usd=found.cost_usd,
            )
        )
    return TestedPath(
        policies=tuple(policies),
        promises=tuple(one.name for one in promises),
        delta=delta,
        n=int(rows.index.size),
        starts=tuple(sorted(starts.items())),
        method=_method(promises, rows),
        assumptions=rows.assumptions,
    )


def shared(along: Sequence[Searched]) -> dict[str, Derived]:
    """Return the formulas that several policies read and none reads otherwise: made once."""
    read: dict[str, list[Derived]] = {}
    for one in along:
        for name, formula in one.derived.items():
            read.setdefault(name, []).append(formula)
    return {n: of[0] for n, of in read.items() if len(of) > 1 and all(f == of[0] for f in of)}


def _tested(
    one: Searched, place: int, rows: Rows, promises: Sequence[Measure], delta: float
) -> TestedPolicy:
    done = replay_array(one.policy, rows.table, one.derived)
    judged = [inside(measure.judged(done), rows) for measure in promises]
    p_values = [p_value(m, j, rows, delta) for m, j in zip(promises, judged, strict=True)]
    return TestedPolicy(
        index=place,
        p_value=max(p_values),
        allowed=0.0,
        passed=False,
        figures=tuple(figure(m, j) for m, j in zip(promises, judged, strict=True)),
        cost_usd=float(done.cost_usd.mean()),
    )


def inside(judged: Judged, rows: Rows) -> Judged:
    """Keep what was judged on the rows that are tested."""
    if rows.index.size == rows.table.n:
        return judged
    both = np.isin(judged.index, rows.index)
    return Judged(judged.index[both], judged.differences[both])


def figure(measure: Measure, judged: Judged) -> float | None:
    """Return what the rows say of a promise, None when no row counts."""
    if not judged.differences.size:
        return None
    return measure.figure(float(judged.differences.mean()))


def p_value(measure: Measure, judged: Judged, rows: Rows, delta: float) -> float:
    """Return the p-value of "the promise is broken"; 1 when no row counts."""
    gaps = judged.differences
    if not gaps.size:
        return 1.0
    if rows.codes is not None:
        log_e = _clustered(judged, rows, measure.epsilon)
        return float(bounds.p_from_log_e(log_e))
    if measure.kind == "binary":
        right = gaps.size + round(float(gaps.sum()))
        return float(bounds.accuracy_p_value(right, gaps.size, 1.0 - measure.epsilon))
    scores = _scores(measure)
    return paired_test(gaps[None, :], measure.epsilon, delta, None, scores, rows.seed).p_value(0)


def _scores(measure: Measure) -> Scores:
    return "binary" if measure.kind == "paired" else "graded"


def bound(measure: Measure, judged: Judged, rows: Rows, delta: float) -> float | None:
    """Return the one-sided bound on the promise's figure; None when no row counts."""
    gaps = judged.differences
    if not gaps.size:
        return None
    if rows.codes is not None:
        worst = _clustered_bound(judged, rows, delta)
    elif measure.kind == "binary":
        right = gaps.size + round(float(gaps.sum()))
        worst = 1.0 - bounds.accuracy_lower_bound(right, gaps.size, delta)
    else:
        test = paired_test(gaps[None, :], measure.epsilon, delta, None, _scores(measure), rows.seed)
        worst = test.bound(0)
    return measure.figure(-worst)


def _clustered(judged: Judged, rows: Rows, epsilon: float) -> float:
    """Bet on group sums. Rows that do not count add 0 to theirs, so that the scale of the bets is
    the size of the largest group, and does not depend on which rows were kept.
    """
    assert rows.codes is not None
    excess: Floats = np.zeros(rows.table.n)
    excess[judged.index] = judged.differences + epsilon
    return bounds.cluster_log_evalue(excess, rows.codes, 1.0 - epsilon)


def _clustered_bound(judged: Judged, rows: Rows, delta: float) -> float:
    limit = -float(np.log(delta))
    low, high = -1.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        passed = _clustered(judged, rows, middle) >= limit
        low, high = (low, middle) if passed else (middle, high)
    return high


def _method(promises: Sequence[Measure], rows: Rows) -> str:
    used = dict.fromkeys(_test_of(measure, rows) for measure in promises)
    parts = [*used, *([UNION] if len(promises) > 1 else []), SEQUENCE]
    return "; ".join(parts)


def _test_of(measure: Measure, rows: Rows) -> str:
    if rows.codes is not None:
        return METHODS["groups"]
    if measure.kind == "binary":
        return EXACT
    if measure.kind == "graded" and measure.name != "max_loss":
        return BETTING
    blank = np.zeros((1, rows.index.size))
    return paired_test(blank, 0.01, 0.1, None, _scores(measure), rows.seed).method
