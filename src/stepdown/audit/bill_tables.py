"""The bill of each step as tables: what its calls cost, and how they run."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from stepdown.audit.bill import AuditReport, Cost, Counted, StepBill
from stepdown.core.report import Cell, Claim, Column, Table

MOST_STEPS = 40  # the costliest; with more the page is long and over 500 kB
# What is told of the calls and not of the money.
CALLS = (
    "Tokens in", "Tokens out", "Cached", "Reasoning", "p50", "p95", "Errors", "Retries", "Prompts",
    "Models",
)  # fmt: skip


def bills(report: AuditReport, notes: Sequence[str]) -> tuple[Table, Table]:
    """Return the bill as two tables, so that both are read without scrolling."""
    whole = bill_table(report, (*notes, *_left_out(report)), most=MOST_STEPS)
    money = tuple(column.title for column in whole.columns if column.title not in CALLS)
    return _columns_of(whole, money), replace(
        _columns_of(replace(whole, notes=()), ("Step", *CALLS)), title="The calls of each step"
    )


def _left_out(report: AuditReport) -> tuple[str, ...]:
    rest = report.steps[MOST_STEPS:]
    if not rest:
        return ()
    usd = sum(step.cost.usd or 0.0 for step in rest)
    more = f"{len(rest):,} more of ${usd:,.2f} together are in --json and --csv."
    return (f"The {MOST_STEPS} costliest steps; {more}",)


def _columns_of(table: Table, titles: Sequence[str]) -> Table:
    """Return some columns of a table; an optional one of which nothing is known is only named."""
    named = {column.title: place for place, column in enumerate(table.columns)}
    places = [named[title] for title in titles if title in named]
    silent = [
        place
        for place in places
        if table.columns[place].title in CALLS
        and table.columns[place].optional
        and all(_is_unknown(row[place]) for row in table.rows)
    ]
    kept = [place for place in places if place not in silent]
    lost = ", ".join(table.columns[place].title.lower() for place in silent)
    return replace(
        table,
        columns=tuple(table.columns[place] for place in kept),
        rows=tuple(tuple(row[place] for place in kept) for row in table.rows),
        total=None if table.total is None else tuple(table.total[place] for place in kept),
        notes=(*table.notes, *([f"The log does not tell: {lost}."] if silent else [])),
    )


def _is_unknown(cell: Cell) -> bool:
    return isinstance(cell, Claim) and cell.value is None


def bill_table(report: AuditReport, notes: Sequence[str] = (), *, most: int | None = None) -> Table:
    """Return everything that is known of each step's calls and cost as one table.

    `most` is how many steps it has at most; the total is of all.
    """
    month = report.month_factor
    columns = (
        Column("Step"),
        Column("Calls", numeric=True),
        Column("Calls/msg", numeric=True, optional=True),
        Column("Tokens in", numeric=True),
        Column("Tokens out", numeric=True),
        Column("Cached", numeric=True, optional=True),
        Column("Reasoning", numeric=True, optional=True),
        Column("Cost", numeric=True),
        *([Column("$/month", numeric=True)] if month else []),
        Column("$/1k calls", numeric=True),
        Column("Share", numeric=True),
        Column("$/message", numeric=True, optional=True),
        Column("p50", numeric=True),
        Column("p95", numeric=True),
        Column("Errors", numeric=True),
        Column("Retries", numeric=True, optional=True),
        Column("Prompts", numeric=True, optional=True),
        Column("Models", optional=True),
    )
    return Table(
        title="Today, per step",
        columns=columns,
        rows=tuple(_bill_row(step, month) for step in report.steps[:most]),
        total=_total(report),
        notes=(*notes, *_bill_notes(report)),
    )


def _bill_row(step: StepBill, month: float | None) -> tuple[Cell, ...]:
    return (
        step.name,
        Claim(step.calls, "count"),
        Claim(step.calls_per_message, note="" if step.messages_exact else "estimated"),
        _tokens(step.input_tokens),
        _tokens(step.output_tokens),
        _tokens(step.cached_tokens),
        _tokens(step.reasoning_tokens),
        _cost(step.cost),
        *_monthly(step.cost, month),
        _per_thousand(step.cost, step.calls),
        Claim(step.share, "share"),
        Claim(step.usd_per_message, "usd", note=at_least(step.cost)),
        Claim(step.latency_p50_s, "s", n=_fewer(step.latency_known, step.calls)),
        Claim(step.latency_p95_s, "s", n=_fewer(step.latency_known, step.calls)),
        Claim(step.errors / step.calls, "share"),
        Claim(step.retries, "count"),
        Claim(step.prompts if step.with_content else None, "count"),
        ", ".join(name for name, _ in step.models),
    )


def _total(report: AuditReport) -> tuple[Cell, ...]:
    per_message = report.calls / report.messages if report.messages else None
    return (
        "total",
        Claim(report.calls, "count"),
        Claim(per_message),
        _tokens(report.input_tokens),
        _tokens(report.output_tokens),
        _tokens(report.cached_tokens),
        _tokens(report.reasoning_tokens),
        _cost(report.cost),
        *_monthly(report.cost, report.month_factor),
        _per_thousand(report.cost, report.calls),
        Claim(None if report.cost.usd is None else 1.0, "share"),
        Claim(report.usd_per_message, "usd", note=at_least(report.cost)),
        "",
        "",
        Claim(report.errors / report.calls if report.calls else None, "share"),
        Claim(sum(step.retries for step in report.steps), "count"),
        "",
        "",
    )


def _monthly(cost: Cost, month: float | None) -> tuple[Cell, ...]:
    if month is None:
        return ()
    return (Claim(None if cost.usd is None else cost.usd * month, "usd", note=at_least(cost)),)


def _per_thousand(cost: Cost, calls: int) -> Claim:
    usd = cost.usd_per_call
    return Claim(None if usd is None else 1000 * usd, "usd", n=_fewer(cost.known, calls))


def _fewer(known: int, calls: int) -> int | None:
    """Return how many calls a figure rests on where it is not all of them (the Calls column)."""
    return known if 0 < known < calls else None


def _tokens(counted: Counted) -> Claim:
    partly = counted.unknown and counted.total is not None
    n = _fewer(counted.known, counted.known + counted.unknown)
    return Claim(counted.total, "tokens", n=n, note="at least" if partly else "")


def _cost(cost: Cost) -> Claim:
    n = _fewer(cost.known, cost.known + cost.unknown)
    return Claim(cost.usd, "usd", n=n, source="; ".join(cost.sources), note=at_least(cost))


def _bill_notes(report: AuditReport) -> tuple[str, ...]:
    cost = report.cost
    named = {"reported": "reported by the log", "list": "list price", "your_rate": "your rate"}
    parts = [f"{n:,} calls {named.get(basis, basis)}" for basis, n in cost.by_basis.items()]
    if cost.unknown:
        parts.append(f"{cost.unknown:,} calls of unknown cost, left out: totals say at least")
    notes = [f"Cost: {'; '.join(parts)}."] if parts else []
    estimated = report.input_tokens.estimated
    if estimated:
        notes.append(
            f"Tokens of {estimated:,} of {report.calls:,} calls "
            f"({estimated / report.calls:.0%}) are estimated."
        )
    if any(not step.latency_exact for step in report.steps):
        notes.append("p50 and p95 of steps with more than 10,000 calls are within 1%.")
    if not report.month_factor and report.month_method:
        notes.append(report.month_method)
    return tuple(notes)


def at_least(cost: Cost) -> str:
    """Return the note of a sum that leaves something out."""
    return "at least" if cost.unknown and cost.usd is not None else ""
