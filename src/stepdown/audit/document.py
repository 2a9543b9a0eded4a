"""The audit as tables: what was read, the bill per step, what could step down, before and after."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from stepdown.audit.bill import AuditReport, Cost, Counted, Saving, StepBill, WhatWasRead
from stepdown.audit.drawing import spend_bars, waterfall
from stepdown.audit.proving import proof_tables
from stepdown.core.report import Cell, Claim, Column, Document, Plot, Point, Prose, Section, Table

LABELS_SHOWN = 4
MOST_MEASURES = 12
# What is told of the calls and not of the money.
CALLS = (
    "Tokens in", "Tokens out", "Cached", "Reasoning", "p50", "p95", "Errors", "Retries", "Prompts",
    "Models",
)  # fmt: skip


def audit_document(report: AuditReport, notes: Sequence[str] = ()) -> Document:
    """Return the report as a document; it fits 80 columns without its optional columns.

    `notes` are what the caller knows of the log (`recorded: ...`); they stand under the bill.
    """
    over_time = (_over_time(report),) if len(report.days) > 1 else ()
    return Document(
        title="Audit",
        subtitle="what each step costs today, and what could step down",
        facts=_facts(report),
        sections=(
            Section("The bill per step", (*_bills(report, notes), *spend_bars(report), *over_time)),
            Section(
                "What could step down and why",
                (_plan(report), _evidence(report), *proof_tables(report)),
            ),
            Section("What saves without another model", (_measures(report),)),
            Section("Before and after", (_invoice(report), *waterfall(report))),
            Section("What was read", (_read(report), *_warnings(report))),
        ),
    )


def _facts(report: AuditReport) -> tuple[tuple[str, str], ...]:
    read = report.read
    period = "unknown" if read.first is None else f"{read.first[:10]} to {(read.last or '')[:10]}"
    messages = "unknown" if report.messages is None else f"{report.messages:,}"
    formats = ", ".join(f"{name} ({n:,})" for name, n in read.formats) or "none"
    refused = f"{read.refused_rows:,} refused" if read.refused_rows else "none refused"
    return (
        ("read", formats),
        ("calls", f"{report.calls:,}, {refused}"),
        ("messages", messages),
        ("period", period),
    )


def _bills(report: AuditReport, notes: Sequence[str]) -> tuple[Table, Table]:
    """Return the bill as two tables, so that both are read without scrolling."""
    whole = bill_table(report, notes)
    money = tuple(column.title for column in whole.columns if column.title not in CALLS)
    return _columns_of(whole, money), replace(
        _columns_of(replace(whole, notes=()), ("Step", *CALLS)), title="The calls of each step"
    )


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


def bill_table(report: AuditReport, notes: Sequence[str] = ()) -> Table:
    """Return everything that is known of each step's calls and cost as one table."""
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
        rows=tuple(_bill_row(step, month) for step in report.steps),
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
        Claim(step.usd_per_message, "usd", note=_at_least(step.cost)),
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
        Claim(report.usd_per_message, "usd", note=_at_least(report.cost)),
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
    return (Claim(None if cost.usd is None else cost.usd * month, "usd", note=_at_least(cost)),)


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
    return Claim(cost.usd, "usd", n=n, source="; ".join(cost.sources), note=_at_least(cost))


def _at_least(cost: Cost) -> str:
    return "at least" if cost.unknown and cost.usd is not None else ""


def _over_time(report: AuditReport) -> Plot:
    points = tuple(Point(float(place), usd) for place, (_, usd) in enumerate(report.days, 1))
    first, last = report.days[0][0], report.days[-1][0]
    return Plot(
        title="Cost over time",
        x_label=f"day with calls (1 is {first})",
        y_label="cost of the day",
        y_unit="usd",
        points=points,
        joined=True,
        from_zero=True,
        notes=(f"Days are those of UTC that have calls; the last is {last}.",),
    )


def _measures(report: AuditReport) -> Table:
    columns = (
        Column("What"),
        Column("Step"),
        Column("Calls", numeric=True, optional=True),
        Column("Saving", numeric=True),
        Column("Seen"),
    )
    rows = tuple(
        (m.kind, m.step, Claim(m.calls, "count"), _range(m.low_usd, m.high_usd), m.evidence)
        for m in report.measures[:MOST_MEASURES]
    )
    assumes = {m.kind: f"{m.kind}: {m.assumes}." for m in report.measures}
    more = len(report.measures) - len(rows)
    notes = [f"{more} smaller ones are in --json."] if more > 0 else []
    if not rows:
        notes.append("Nothing found: no repeats, no long prompts out of a cache, no idle tools.")
    else:
        notes.append("Over the logged period. They overlap, so they do not add up.")
    return Table(
        title="The same model, asked less",
        columns=columns,
        rows=rows,
        notes=(*notes, *(assumes[kind] for kind in sorted(assumes))),
    )


def _range(low: float | None, high: float | None) -> str:
    return "unknown" if low is None or high is None else f"${low:,.2f} to ${high:,.2f}"


def _invoice(report: AuditReport) -> Table:
    factor = report.month_factor or 1.0
    columns = (
        Column("Step"),
        Column("Today", numeric=True),
        Column("After, at worst", numeric=True),
        Column("After, at best", numeric=True),
        Column("Pays until", numeric=True),
    )
    rows = tuple(
        (
            step.name,
            Claim(_times(step.cost.usd, factor), "usd", note=_at_least(step.cost)),
            Claim(_times(step.after_high_usd, factor), "usd"),
            Claim(_times(step.after_low_usd, factor), "usd"),
            _until(step.advice.saving),
        )
        for step in report.steps
    )
    known = [step for step in report.steps if step.cost.usd is not None]
    totals = [
        Claim(_times(sum(values), factor) if known else None, "usd", note=note)
        for values, note in (
            ([step.cost.usd or 0.0 for step in known], _at_least(report.cost)),
            ([step.after_high_usd or 0.0 for step in known], ""),
            ([step.after_low_usd or 0.0 for step in known], ""),
        )
    ]
    return Table(
        title="A month, before and after" if report.month_factor else "The log, before and after",
        columns=columns,
        rows=(*rows, *_per_message_row(report, known)),
        total=("total", *totals, ""),
        notes=_invoice_notes(report),
    )


def _per_message_row(
    report: AuditReport, known: Sequence[StepBill]
) -> tuple[tuple[Cell, ...], ...]:
    if not report.messages or not known:
        return ()
    sums = (
        report.cost.usd,
        sum(step.after_high_usd or 0.0 for step in known),
        sum(step.after_low_usd or 0.0 for step in known),
    )
    each = (Claim(None if usd is None else usd / report.messages, "usd") for usd in sums)
    return (("each message", *each, ""),)


def _invoice_notes(report: AuditReport) -> tuple[str, ...]:
    method = (report.month_method,) if report.month_method else ()
    return (
        *method,
        f"From {report.calls:,} calls. At worst and at best are what the tables above assume.",
        "Of the measures of a step the largest counts, then another model for the rest.",
        "Pays until: the share of calls that may escalate, paid twice, before nothing is saved.",
        "Hosting and one eval a month are in it; labels are a person's time and are not."
        if report.days and report.days[0][0] != report.days[-1][0]
        else "Hosting and evals are not in it, because the log is too short or tells no period.",
    )


def _until(saving: Saving | None) -> Cell:
    return "" if saving is None else Claim(saving.break_even, "share")


def _times(usd: float | None, factor: float) -> float | None:
    return None if usd is None else usd * factor


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


def _plan(report: AuditReport) -> Table:
    columns = (
        Column("Step"),
        Column("Work"),
        Column("Down?"),
        Column("To"),
        Column("Saving", numeric=True),
        Column("Why"),
    )
    rows = tuple(
        (
            step.name,
            step.kind.kind,
            step.advice.verdict,
            step.advice.tier,
            _saving(step.advice.saving),
            step.advice.why,
        )
        for step in report.steps
    )
    return Table(title="The plan", columns=columns, rows=rows, notes=_saving_notes(report.steps))


def _saving(saving: Saving | None) -> str:
    # A range has no middle that could be claimed, so it is text and not a claim.
    if saving is None:
        return ""
    return f"${saving.low_usd:,.2f} to ${saving.high_usd:,.2f}"


def _saving_notes(steps: Sequence[StepBill]) -> tuple[str, ...]:
    notes = {}
    for step in steps:
        saving = step.advice.saving
        if saving is not None:
            notes[step.advice.tier] = f"Saving by {step.advice.tier}: {_assumed(saving)}."
    proof = "These are proposals. `stepdown eval` and `stepdown certify` say whether they hold."
    return (*(notes[tier] for tier in sorted(notes)), proof)


def _assumed(saving: Saving) -> str:
    """Return what both ends assume, what they share said once."""
    low, _, low_rest = saving.low_assumes.partition("; ")
    high, _, high_rest = saving.high_assumes.partition("; ")
    if low_rest == high_rest:
        return f"low if {low}, high if {high}; {low_rest}"
    return f"low if {low}; {low_rest}. High if {high}; {high_rest}"


def _evidence(report: AuditReport) -> Table:
    columns = (Column("Step"), Column("Looked at", numeric=True, optional=True), Column("Evidence"))
    rows = tuple(
        (step.name, Claim(step.kind.n, "count"), "; ".join(_told(step))) for step in report.steps
    )
    return Table(title="The evidence", columns=columns, rows=rows)


def _told(step: StepBill) -> tuple[str, ...]:
    tail = () if step.tail is None else step.tail.evidence
    beside = (*step.stakes.evidence, *tail)
    if not step.labels:
        return (*step.kind.evidence, *beside)
    shown = ", ".join(step.labels[:LABELS_SHOWN])
    more = ", ..." if len(step.labels) > LABELS_SHOWN else ""
    return (*step.kind.evidence, f"such as {shown}{more}", *beside)


def _read(report: AuditReport) -> Table:
    read = report.read
    calls = max(report.calls, 1)
    rows: list[tuple[Cell, ...]] = [
        ("calls read", Claim(report.calls, "count"), ""),
        ("with content", Claim(read.with_content / calls, "share"), ""),
        ("without a step", Claim(read.unnamed / calls, "share"), ""),
        ("rows refused", Claim(read.refused_rows, "count"), ""),
    ]
    rows += [(f"step named by {rule}", Claim(n, "count"), "") for rule, n in read.named_by]
    rows += [
        ("refused", Claim(n, "count"), f"{why} (first: {row.source}:{row.line})")
        for why, n, row in read.refused
    ]
    if read.unknown_fields:
        rows.append(("fields not known", Claim(len(read.unknown_fields), "count"), _names(read)))
    rows += [("note", Claim(n, "count"), text) for text, n in read.notes]
    columns = (Column("What"), Column("Value", numeric=True), Column("Detail"))
    return Table(title="The log", columns=columns, rows=tuple(rows))


def _names(read: WhatWasRead) -> str:
    return ", ".join(f"{name} ({n:,})" for name, n in read.unknown_fields)


def _warnings(report: AuditReport) -> tuple[Prose, ...]:
    found = []
    if report.calls and report.read.unnamed:
        share = report.read.unnamed / report.calls
        found.append(
            f"{share:.0%} of the calls have no step name and no system prompt to tell them apart: "
            "name them with --step, or put `step` into the request's metadata."
        )
    if report.messages is None:
        found.append("No call names its message or session, so $/message is unknown.")
    return tuple(Prose(text, "warn") for text in found)
