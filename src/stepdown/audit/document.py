"""The audit as a document: the bill, what could step down, before and after, what was read."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.audit.bill import AuditReport, WhatWasRead
from stepdown.audit.bill_tables import bills
from stepdown.audit.drawing import spend_bars, waterfall
from stepdown.audit.plan_tables import evidence_table, invoice_table, measures_table, plan_table
from stepdown.audit.proving import proof_tables
from stepdown.core.report import Cell, Claim, Column, Document, Plot, Point, Prose, Section, Table

MOST_REASONS, MOST_FIELDS = 12, 20


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
            Section("The bill per step", (*bills(report, notes), *spend_bars(report), *over_time)),
            Section(
                "What could step down and why",
                (plan_table(report), evidence_table(report), *proof_tables(report)),
            ),
            Section("What saves without another model", (measures_table(report),)),
            Section("Before and after", (invoice_table(report), *waterfall(report))),
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
        ("refused", Claim(n, "count"), f"{row.why} (first: {row.source}:{row.line})")
        for _, n, row in read.refused[:MOST_REASONS]
    ]
    more = read.refused[MOST_REASONS:]
    if more:
        n = sum(count for _, count, _ in more)
        rows.append(("refused", Claim(n, "count"), f"for {len(more)} more reasons, in --json"))
    if read.unknown_fields:
        rows.append(("fields not known", Claim(len(read.unknown_fields), "count"), _names(read)))
    rows += [("note", Claim(n, "count"), text) for text, n in read.notes]
    columns = (Column("What"), Column("Value", numeric=True), Column("Detail"))
    return Table(title="The log", columns=columns, rows=tuple(rows))


def _names(read: WhatWasRead) -> str:
    shown = sorted(read.unknown_fields, key=lambda field: (-field[1], field[0]))[:MOST_FIELDS]
    more = len(read.unknown_fields) - len(shown)
    told = ", ".join(f"{name} ({n:,})" for name, n in shown)
    return f"{told} and {more} more" if more else told


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
