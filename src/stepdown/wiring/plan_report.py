"""A plan of `certify plan` as plain JSON, and as a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepdown.certify.forecast import Forecast
from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.stats.planning import Plan
from stepdown.stats.rehearsal import Simulated
from stepdown.wiring.planned import Planned
from stepdown.wiring.policy_words import policy_words


def as_data(one: Planned) -> dict[str, Any]:
    """Return a plan as plain JSON."""
    return {
        "task": one.task.name,
        "promise": one.task.promise.main(one.reference),
        "limit": one.task.promise.limit(one.reference),
        "delta": one.delta,
        "certify_rows": one.certify_rows,
        "pool_rows": one.pool_rows,
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
        "beside": dict(one.beside),
    }


def document(found: Sequence[Planned]) -> Document:
    """Return the plans as a report."""
    return Document(
        title="Certify plan",
        sections=tuple(_section(one) for one in found),
        footer="A forecast from tune rows, by the exact test that certify runs; it promises "
        "nothing.",
    )


def _section(one: Planned) -> Section:
    promise, main = one.task.promise, one.task.promise.main(one.reference)
    said = f"{main} {promise.limit(one.reference):g}, delta {one.delta:g}. {_can_decide(one)}"
    return Section(one.task.name, (Prose(said), _table(one)))


def _can_decide(one: Planned) -> str:
    chances = [f.today for f in one.forecasts if f.today is not None]
    if one.certify_rows is None:
        return f"An assumption, not a measurement.{_labels(one.rehearsed)}"
    if not chances:
        return "No policy on the tune rows is cheaper than the ceiling."
    pool = f" ({one.pool_rows} of them in the pool)" if one.pool_rows else ""
    return (
        f"Today's {one.certify_rows} certify rows{pool} decide with a chance of "
        f"{max(chances):.0%} at best.{_labels(one.rehearsed)}"
    )


def _labels(found: Simulated | None) -> str:
    if found is None:
        return ""
    return (
        f" With {found.n} rows, labelling only disagreements and no longer than needed takes "
        f"{found.labels_median:.0f} labels (nine times in ten at most {found.labels_high:.0f}; "
        "simulated)."
    )


def _table(one: Planned) -> Table:
    if not one.forecasts:
        return Table(title="What it would take", columns=(Column("policy"),), rows=())
    measured = one.certify_rows is not None
    columns = (
        Column("policy"),
        Column("keeps", numeric=True),
        Column("differs", numeric=True, optional=True),
        Column("rows needed", numeric=True),
        Column("labels", numeric=True),
        *(_MEASURED if measured else ()),
    )
    needed = (
        "rows needed: certify rows for an 80% chance; labels: rows of these that a person must "
        f"judge at most ({one.forecasts[0].plan.labelled})."
    )
    notes = (
        needed,
        "differs: share of the kept answers that differ from the ceiling's.",
        *(_MEASURED_NOTES if measured else ()),
        *_beside(one.forecasts),
    )
    rows = tuple((*_row(f), *(_measured(one, f) if measured else ())) for f in one.forecasts)
    return Table(title="What it would take", columns=columns, rows=rows, notes=notes)


_MEASURED = (
    Column("one loss more", numeric=True),
    Column("to run", numeric=True, optional=True),
    Column("chance today", numeric=True),
)
_MEASURED_NOTES = (
    "one loss more: rows needed if one more tune row had been a loss; few rows promise too much.",
    "to run: asking every tier about the rows needed, at the tune rows' mean cost.",
)


def _row(f: Forecast) -> tuple[Cell, ...]:
    words = "what if" if f.searched is None else policy_words(f.searched.policy, f.searched.derived)
    return (
        words,
        Claim(f.rates.kept, "share", n=f.rates.n or None),
        Claim(f.rates.disagree, "share", n=f.rates.n or None),
        _rows(f.plan),
        "–" if f.plan.labels is None else Claim(f.plan.labels, "count"),
    )


def _measured(one: Planned, f: Forecast) -> tuple[Cell, ...]:
    return (
        None if f.careful is None else _rows(f.careful),
        Claim(_cost(one, f.plan), "usd"),
        Claim(f.today, "share"),
    )


def _beside(forecasts: Sequence[Forecast]) -> list[str]:
    """Say what the promised recalls need, of the policy that needs the most."""
    names = dict.fromkeys(name for one in forecasts for name in one.beside)
    found = []
    for name in names:
        plans = [one.beside[name] for one in forecasts]
        rows = [plan.rows for plan in plans if plan.rows is not None]
        most = (
            f"over {plans[0].cap} rows with it" if len(rows) < len(plans) else f"{max(rows)} rows"
        )
        found.append(f"{name}: {most}, each labelled, for the policy that needs the most.")
    return found


def _rows(plan: Plan) -> Cell:
    if plan.rows is None:
        return f"over {plan.cap}"
    return Claim(plan.rows, "count")


def _cost(one: Planned, plan: Plan) -> float | None:
    if one.usd_per_row is None or plan.rows is None:
        return None
    return one.usd_per_row * plan.rows
