"""`certify plan`: what a promise will need, before anything is spent on it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from msgspec import Struct, structs

from stepdown.certify.case import Case, case_of, given
from stepdown.certify.certify import search
from stepdown.certify.forecast import Forecast, Rates, forecast, rates_of, recalls, shown
from stepdown.certify.promises import Floats
from stepdown.certify.question import delivered
from stepdown.certify.search import Searched, searched
from stepdown.core.policy import single
from stepdown.core.replay_array import Panel, replay_array
from stepdown.core.task import Task
from stepdown.stats.rehearsal import Simulated, from_pilot, from_rates, simulate_path
from stepdown.stats.sequence import FIRST_SHARE
from stepdown.wiring.certifying import (
    Gathered,
    evidence_of,
    gather,
    may_use_pool,
    tasks_together,
    terms_of,
)
from stepdown.wiring.evaluating import Watch
from stepdown.wiring.pool import pool_of
from stepdown.wiring.workspace import Workspace

TRIALS = 60  # of a rehearsal: the median of the labels to a tenth or so
MOST_ROWS = 3_000  # of a rehearsal: more take longer than anybody waits


class Planned(Struct, frozen=True, kw_only=True):
    """One task's plan. `usd_per_row`: asking every tier about one row, None when unknown.

    `certify_rows` are at hand, `pool_rows` of them without a reference. `rehearsed`: labels until
    the verdict, by simulation, of the policy most likely to pass.
    """

    task: Task
    reference: str
    delta: float
    forecasts: tuple[Forecast, ...]
    certify_rows: int | None = None
    pool_rows: int = 0
    usd_per_row: float | None = None
    rehearsed: Simulated | None = None


def assumed(workspace: Workspace, task: Task, rates: Rates) -> Planned:
    """Return the plan for a question of "what if": nothing is run."""
    shared = tasks_together(workspace) if task.promise.over == "project" else 1
    delta = task.promise.delta / shared
    one = forecast(task.promise, task.reference_is, delta, rates, None)
    return Planned(
        task=task,
        reference=task.reference_is,
        delta=delta,
        forecasts=(one,),
        rehearsed=_rehearsed_rates(task, one, delta),
    )


def _rehearsed_rates(task: Task, one: Forecast, delta: float) -> Simulated | None:
    promise, rates, n = task.promise, one.rates, one.plan.rows
    if promise.main(task.reference_is) != "max_loss" or n is None or n > MOST_ROWS:
        return None
    draw = from_rates(rates.kept, rates.disagree, rates.loss, rates.gain)
    limit = promise.limit(task.reference_is)
    return simulate_path(draw, n, limit, delta * FIRST_SHARE, 1, trials=TRIALS)


async def planned(workspace: Workspace, task: Task, watch: Watch | None = None) -> Planned:
    """Return the plan by the rates of the tune rows; the certify rows are counted, not looked at.

    Raises:
        DataError: too few tune rows, or a ceiling that answered none of them.
    """
    found = await gather(workspace, task, watch, parts=("tune",))
    return await asyncio.to_thread(_plan, workspace, task, found)


def _plan(workspace: Workspace, task: Task, found: Gathered) -> Planned:
    """Search the tune rows as certification will, with themselves in the place of the others."""
    stand_in = structs.replace(evidence_of(workspace, task, found), certify=found.tune)
    rows = given(task, stand_in, apart=False)
    laid = search(case_of(task, stand_in, terms_of(workspace, task), rows))
    case = laid.case
    pool = len(pool_of(workspace, task).samples) if may_use_pool(workspace, task) else 0
    n = len(workspace.part(task, "certify")) + pool
    forecasts = tuple(_forecast(case, one, n) for one in shown(laid.along))
    return Planned(
        task=task,
        reference=case.reference,
        delta=case.delta,
        forecasts=forecasts,
        certify_rows=n,
        pool_rows=pool,
        usd_per_row=_usd_per_row(case.tune, task.tiers),
        rehearsed=_rehearsed(case, forecasts, n),
    )


def _forecast(case: Case, one: Searched, n: int) -> Forecast:
    beside = recalls(one, case.tune, case.tune_measures(), case.delta)
    rates = rates_of(one, case.tune, case.task.ceiling)
    return forecast(case.task.promise, case.reference, case.delta, rates, n, one, beside)


def _usd_per_row(table: Panel, tiers: Sequence[str]) -> float | None:
    means = [float(table.cost_usd[tier].mean()) for tier in tiers if tier in table.cost_usd]
    return None if np.isnan(means).any() else sum(means)


def _rehearsed(case: Case, forecasts: Sequence[Forecast], n: int) -> Simulated | None:
    """Draw the tune rows again, `n` at a time, and label them as `stepdown label` would."""
    task, tune = case.task, case.tune
    ready = [one for one in forecasts if one.searched is not None and one.plan.rows is not None]
    if task.promise.main(case.reference) != "max_loss" or not ready or not tune.texts:
        return None
    one = max(ready, key=lambda f: (f.today or 0.0, f.rates.kept)).searched
    assert one is not None
    alone = searched(tune, structs.replace(single(task.ceiling), tiers=one.policy.tiers))
    codes = delivered([alone, one], tune).codes
    gap = np.vstack([np.zeros(tune.n), _gap(one, tune, task.ceiling)])
    return simulate_path(
        from_pilot((codes == codes[0]) | (gap == 0), gap),
        min(n, MOST_ROWS),
        task.promise.limit(case.reference),
        case.delta * FIRST_SHARE,
        1,
        scores="binary" if case.binary else "graded",
        trials=TRIALS,
    )


def _gap(one: Searched, tune: Panel, ceiling: str) -> Floats:
    done = replay_array(one.policy, tune, one.derived)
    return np.nan_to_num(done.score) - np.nan_to_num(tune.score[ceiling])
