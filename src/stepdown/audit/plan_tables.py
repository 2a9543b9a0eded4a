"""What could step down, what saves anyway, and the bill before and after, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.audit.bill import AuditReport, Saving, StepBill
from stepdown.audit.bill_tables import MOST_STEPS, at_least
from stepdown.core.report import Cell, Claim, Column, Table

LABELS_SHOWN = 4
MOST_MEASURES = 12


def plan_table(report: AuditReport) -> Table:
    """Return what is proposed for each step, with the saving and why."""
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
        for step in report.steps[:MOST_STEPS]
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


def evidence_table(report: AuditReport) -> Table:
    """Return what each kind of work rests on."""
    columns = (Column("Step"), Column("Looked at", numeric=True, optional=True), Column("Evidence"))
    rows = tuple(
        (step.name, Claim(step.kind.n, "count"), "; ".join(_told(step)))
        for step in report.steps[:MOST_STEPS]
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


def measures_table(report: AuditReport) -> Table:
    """Return what saves without another model."""
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


def invoice_table(report: AuditReport) -> Table:
    """Return each step before and after, at worst and at best."""
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
            Claim(_times(step.cost.usd, factor), "usd", note=at_least(step.cost)),
            Claim(_times(step.after_high_usd, factor), "usd"),
            Claim(_times(step.after_low_usd, factor), "usd"),
            _until(step.advice.saving),
        )
        for step in report.steps[:MOST_STEPS]
    )
    known = [step for step in report.steps if step.cost.usd is not None]
    totals = [
        Claim(_times(sum(values), factor) if known else None, "usd", note=note)
        for values, note in (
            ([step.cost.usd or 0.0 for step in known], at_least(report.cost)),
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
