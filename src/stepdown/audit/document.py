"""The audit as tables: the bill per step, what could step down and why, and what was read."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.audit.bill import AuditReport, Cost, Counted, Saving, StepBill, WhatWasRead
from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table

LABELS_SHOWN = 4


def audit_document(report: AuditReport, notes: Sequence[str] = ()) -> Document:
    """Return the report as a document; it fits 80 columns without its optional columns.

    `notes` are what the caller knows of the log (`recorded: ...`); they stand under the bill.
    """
    return Document(
        title="Audit",
        subtitle="what each step costs today, and what could step down",
        facts=_facts(report),
        sections=(
            Section("The bill per step", (_bill(report, notes),)),
            Section("What could step down and why", (_plan(report), _evidence(report))),
            Section("What was read", (_read(report), *_warnings(report))),
        ),
    )


def _facts(report: AuditReport) -> tuple[tuple[str, str], ...]:
    read = report.read
    period = "unknown" if read.first is None else f"{read.first[:10]} to {(read.last or '')[:10]}"
    messages = "unknown" if report.messages is None else f"{report.messages:,}"
    return (("calls", f"{report.calls:,}"), ("messages", messages), ("period", period))


def _bill(report: AuditReport, notes: Sequence[str]) -> Table:
    columns = (
        Column("Step"),
        Column("Calls", numeric=True),
        Column("Calls/msg", numeric=True, optional=True),
        Column("Tokens in", numeric=True, optional=True),
        Column("Tokens out", numeric=True, optional=True),
        Column("Cached", numeric=True, optional=True),
        Column("Cost", numeric=True),
        Column("$/message", numeric=True),
        Column("$/call", numeric=True, optional=True),
        Column("Share", numeric=True),
        Column("p50", numeric=True),
        Column("p95", numeric=True, optional=True),
        Column("Errors", numeric=True, optional=True),
        Column("Models", optional=True),
    )
    rows = tuple(_bill_row(step) for step in report.steps)
    return Table(
        title="Today, per step",
        columns=columns,
        rows=rows,
        total=_total(report),
        notes=(*notes, *_bill_notes(report)),
    )


def _bill_row(step: StepBill) -> tuple[Cell, ...]:
    return (
        step.name,
        Claim(step.calls, "count"),
        Claim(step.calls_per_message, note="" if step.messages_exact else "estimated"),
        _tokens(step.input_tokens),
        _tokens(step.output_tokens),
        _tokens(step.cached_tokens),
        _cost(step.cost),
        Claim(step.usd_per_message, "usd", note=_at_least(step.cost)),
        Claim(step.cost.usd_per_call, "usd", n=_fewer(step.cost.known, step.calls)),
        Claim(step.share, "share"),
        Claim(step.latency_p50_s, "s", n=_fewer(step.latency_known, step.calls)),
        Claim(step.latency_p95_s, "s", n=_fewer(step.latency_known, step.calls)),
        Claim(step.errors / step.calls, "share"),
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
        _cost(report.cost),
        Claim(report.usd_per_message, "usd", note=_at_least(report.cost)),
        Claim(report.cost.usd_per_call, "usd", n=_fewer(report.cost.known, report.calls)),
        Claim(None if report.cost.usd is None else 1.0, "share"),
        "",
        "",
        Claim(report.errors / report.calls if report.calls else None, "share"),
        "",
    )


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


def _bill_notes(report: AuditReport) -> tuple[str, ...]:
    cost = report.cost
    named = {"reported": "reported by the log", "list": "list price", "your_rate": "your rate"}
    parts = [f"{n:,} calls {named.get(basis, basis)}" for basis, n in cost.by_basis.items()]
    if cost.unknown:
        parts.append(f"{cost.unknown:,} calls of unknown cost, left out: totals say at least")
    notes = [f"Cost: {'; '.join(parts)}."] if parts else []
    estimated = report.input_tokens.estimated
    if estimated:
        notes.append(f"Tokens of {estimated:,} of {report.calls:,} calls are estimated.")
    return tuple(notes)


def _plan(report: AuditReport) -> Table:
    columns = (
        Column("Step"),
        Column("Work"),
        Column("Down?"),
        Column("To"),
        Column("Saving", numeric=True, optional=True),
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
            low, high = saving.low_assumes, saving.high_assumes
            notes[step.advice.tier] = f"Saving by {step.advice.tier}: low if {low}; high if {high}."
    proof = "These are proposals. `stepdown eval` and `stepdown certify` say whether they hold."
    return (*(notes[tier] for tier in sorted(notes)), proof)


def _evidence(report: AuditReport) -> Table:
    columns = (Column("Step"), Column("Looked at", numeric=True, optional=True), Column("Evidence"))
    rows = tuple(
        (step.name, Claim(step.kind.n, "count"), "; ".join(_told(step))) for step in report.steps
    )
    return Table(title="The evidence", columns=columns, rows=rows)


def _told(step: StepBill) -> tuple[str, ...]:
    if not step.labels:
        return step.kind.evidence
    shown = ", ".join(step.labels[:LABELS_SHOWN])
    more = ", ..." if len(step.labels) > LABELS_SHOWN else ""
    return (*step.kind.evidence, f"such as {shown}{more}")


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
    columns = (Column("What"), Column("Value", numeric=True), Column("Detail"))
    return Table(title="The log", columns=columns, rows=tuple(rows))


def _names(read: WhatWasRead) -> str:
    return ", ".join(read.unknown_fields)


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
