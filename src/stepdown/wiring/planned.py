"""`certify plan`: what a promise will need, before anything is spent on it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from stepdown.certify.case import case_of, given
from stepdown.certify.certify import search
from stepdown.certify.forecast import Forecast, Rates, forecast, rates_of, shown
from stepdown.certify.question import delivered
from stepdown.core.replay_array import Panel
from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.core.task import Task
from stepdown.stats.planning import Plan
from stepdown.stats.rehearsal import Simulated, from_pilot, simulate_path
from stepdown.stats.sequence import FIRST_SHARE
from stepdown.wiring.certifying import Gathered, evidence_of, gather, terms_of
from stepdown.wiring.evaluating import Watch
from stepdown.wiring.policy_words import policy_words
from stepdown.wiring.workspace import Workspace

TRIALS = 100


class Planned(Struct, frozen=True, kw_only=True):
    """One task's plan. `usd_per_row`: asking every tier about one row, None when unknown.

    `rehearsed`: labels until the verdict, by simulation on the tune rows of the policy that needs
    the fewest rows.
    """

    task: Task
    reference: str
    forecasts: tuple[Forecast, ...]
    certify_rows: int | None
    usd_per_row: float | None
    rehearsed: Simulated | None


def assumed(task: Task, rates: Rates) -> Planned:
    """Return the plan for a question of "what if": nothing is run."""
    return Planned(
        task=task,
        reference="gold",
        forecasts=(forecast(task.promise, "gold", rates, None),),
        certify_rows=None,
        usd_per_row=None,
        rehearsed=None,
    )


async def planned(workspace: Workspace, task: Task, watch: Watch | None = None) -> Planned:
    """Return the plan by the rates of the tune rows; the certify rows are counted, not looked at.

    Raises:
        DataError: too few tune rows, or a ceiling that answered none of them.
    """
    found = await gather(workspace, task, watch, parts=("tune",))
    return await asyncio.to_thread(_plan, workspace, task, found)


def _plan(workspace: Workspace, task: Task, found: Gathered) -> Planned:
    """Search the tune rows as certification will, with themselves in the place of the others."""
    stand_in = msgspec.structs.replace(evidence_of(workspace, task, found), certify=found.tune)
    rows = given(task, stand_in, apart=False)
    case = case_of(task, stand_in, terms_of(workspace, task), rows)
    laid = search(case)
    case, along = laid.case, laid.along
    n = len(workspace.part(task, "certify"))
    forecasts = tuple(
        forecast(task.promise, case.reference, rates_of(one, case.tune, task.ceiling), n, one)
        for one in shown(along)
    )
    return Planned(
        task=task,
        reference=case.reference,
        forecasts=forecasts,
        certify_rows=n,
        usd_per_row=_usd_per_row(case.tune, task.tiers),
        rehearsed=_rehearsed(task, case.reference, forecasts, case.tune, n),
    )


def _usd_per_row(table: Panel, tiers: Sequence[str]) -> float | None:
    means = [float(table.cost_usd[tier].mean()) for tier in tiers if tier in table.cost_usd]
    return None if np.isnan(means).any() else sum(means)


def _rehearsed(
    task: Task, reference: str, forecasts: Sequence[Forecast], tune: Panel, n: int
) -> Simulated | None:
    """Draw the tune rows again, `n` at a time, and label them as `stepdown label` would."""
    ready = [one for one in forecasts if one.searched is not None and one.plan.rows is not None]
    if task.promise.main(reference) != "max_loss" or not ready or not n or not tune.texts:
        return None
    one = max(ready, key=lambda f: (f.today or 0.0, f.rates.kept)).searched
    assert one is not None
    alone = msgspec.structs.replace(one, policy=_ceiling_of(task, one))
    codes = delivered([alone, one], tune).codes
    agree = codes == codes[0]
    gap = np.vstack([np.zeros(tune.n), _gap(one, tune, task.ceiling)])
    limit, delta = task.promise.limit(reference), task.promise.delta * FIRST_SHARE
    return simulate_path(from_pilot(agree | (gap == 0), gap), n, limit, delta, 1, trials=TRIALS)


def _ceiling_of(task: Task, one: Any) -> Any:
    from stepdown.core.policy import single

    return msgspec.structs.replace(single(task.ceiling), tiers=one.policy.tiers)


def _gap(one: Any, tune: Panel, ceiling: str) -> Any:
    from stepdown.core.replay_array import replay_array

    done = replay_array(one.policy, tune, one.derived)
    return np.nan_to_num(done.score) - np.nan_to_num(tune.score[ceiling])


def as_data(one: Planned) -> dict[str, Any]:
    """Return a plan as plain JSON."""
    return {
        "task": one.task.name,
        "promise": one.task.promise.main(one.reference),
        "limit": one.task.promise.limit(one.reference),
        "delta": one.task.promise.delta,
        "certify_rows": one.certify_rows,
        "usd_per_row": one.usd_per_row,
        "forecasts": [_forecast_data(f) for f in one.forecasts],
        "rehearsed": one.rehearsed,
    }


def _forecast_data(one: Forecast) -> dict[str, Any]:
    words = (
        None if one.searched is None else policy_words(one.searched.policy, one.searched.derived)
    )
    return {
        "policy": words,
        "rates": one.rates,
        "plan": one.plan,
        "with_one_more_loss": one.careful,
        "chance_today": one.today,
    }


def document(found: Sequence[Planned]) -> Document:
    """Return the plans as a report."""
    return Document(
        title="Certify plan",
        sections=tuple(_section(one) for one in found),
        footer="A forecast from tune rows, by the exact test that certify runs; it promises "
        "nothing. 80% chance of a certificate where no chance is stated.",
    )


def _section(one: Planned) -> Section:
    promise, main = one.task.promise, one.task.promise.main(one.reference)
    said = f"{main} {promise.limit(one.reference):g}, delta {promise.delta:g}. {_can_decide(one)}"
    return Section(one.task.name, (Prose(said), _table(one)))


def _can_decide(one: Planned) -> str:
    chances = [f.today for f in one.forecasts if f.today is not None]
    if one.certify_rows is None:
        return "An assumption, not a measurement."
    if not chances:
        return "No policy on the tune rows is cheaper than the ceiling."
    best = max(chances)
    said = f"Today's {one.certify_rows} certify rows decide with a chance of {best:.0%} at best."
    if one.rehearsed is not None:
        median, high = one.rehearsed.labels_median, one.rehearsed.labels_high
        said += (
            f" Labelling only disagreements takes {median:.0f} labels (nine in ten: {high:.0f})."
        )
    return said


def _table(one: Planned) -> Table:
    columns = (
        Column("policy"),
        Column("keeps", numeric=True),
        Column("differs", numeric=True, optional=True),
        Column("rows needed", numeric=True),
        Column("one loss more", numeric=True),
        Column("labels", numeric=True),
        Column("to run", numeric=True, optional=True),
        Column("chance today", numeric=True),
    )
    notes = [
        "rows needed: certify rows for an 80% chance; labels: rows of these that a person must "
        f"judge ({one.forecasts[0].plan.labelled})."
        if one.forecasts
        else "Nothing to plan.",
        "differs: share of the kept answers that differ from the ceiling's.",
        "to run: asking every tier about the rows needed, at the tune rows' mean cost.",
    ]
    rows = tuple(_row(one, f) for f in one.forecasts)
    return Table(title="What it would take", columns=columns, rows=rows, notes=tuple(notes))


def _row(one: Planned, f: Forecast) -> tuple[Cell, ...]:
    words = "what if" if f.searched is None else policy_words(f.searched.policy, f.searched.derived)
    return (
        words,
        Claim(f.rates.kept, "share", n=f.rates.n or None),
        Claim(f.rates.disagree, "share", n=f.rates.n or None),
        _rows(f.plan),
        None if f.careful is None else _rows(f.careful),
        Claim(f.plan.labels, "count"),
        Claim(_cost(one, f.plan), "usd"),
        Claim(f.today, "share"),
    )


def _rows(plan: Plan) -> Cell:
    if plan.rows is None:
        return f"over {plan.cap}"
    return Claim(plan.rows, "count")


def _cost(one: Planned, plan: Plan) -> float | None:
    if one.usd_per_row is None or plan.rows is None:
        return None
    return one.usd_per_row * plan.rows
