"""What it would take to prove that steps can step down, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.audit.bill import AuditReport, Proof, StepBill
from stepdown.audit.proof import SCENARIOS, plans
from stepdown.core.report import Cell, Column, Table

MOST_ROWS = 40


def proof_tables(report: AuditReport) -> tuple[Table, ...]:
    """Return the table, none where no step is proposed."""
    asked = [(step, proof) for step in report.steps if (proof := step.advice.proof) is not None]
    asked = asked[:MOST_ROWS]
    if not asked:
        return ()
    columns = (
        Column("Step"),
        Column("Rows", numeric=True),
        Column("Labels", numeric=True),
        Column("Each eval", numeric=True),
        Column("Rows in log", numeric=True, optional=True),
        Column("Scored by"),
    )
    return (
        Table(
            title="What it would take to prove it",
            columns=columns,
            rows=tuple(_row(step, proof) for step, proof in asked),
            notes=_notes([proof for _, proof in asked]),
        ),
    )


def _row(step: StepBill, proof: Proof) -> tuple[Cell, ...]:
    return (
        step.name,
        _whole(proof.rows_low, proof.rows_high),
        _whole(proof.labels_low, proof.labels_high),
        _money(proof.eval_low_usd, proof.eval_high_usd),
        f"{step.with_content:,}",
        "a judge" if proof.judged else "a rule",
    )


def _whole(low: int | None, high: int | None) -> str:
    if low is None:
        return "unknown"
    return f"{low:,} or more" if high is None else _range(f"{low:,}", f"{high:,}")


def _money(low: float | None, high: float | None) -> str:
    if low is None:
        return "unknown"
    return f"${low:,.2f} or more" if high is None else _range(f"${low:,.2f}", f"${high:,.2f}")


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _notes(proofs: Sequence[Proof]) -> tuple[str, ...]:
    table = plans()
    limit = proofs[0].max_loss
    good, poor = SCENARIOS["good"], SCENARIOS["poor"]
    judged = any(proof.judged for proof in proofs)
    assumed = (
        f"Rows to certify a loss of {limit:.0%} at most (delta {table.delta:g}, chance "
        f"{table.power:.0%}), planned exactly for the test that ships ({table.date}): a forecast. "
        f"Fewest if of the kept answers {good.loss:.2%} score 1 less and {good.gain:.2%} 1 more; "
        f"most if {poor.loss:.0%} and {poor.gain:.0%}."
    )
    labels = (
        "Labels: what a person judges, only kept answers that are unlike today's "
        f"({good.disagree:.0%} to {poor.disagree:.0%} of them)."
    )
    return (
        assumed,
        labels,
        "An eval asks the smaller tier for the certify and the tune rows; today's answers are in "
        "the log." + (" A judge (priced as today's model) reads both answers." if judged else ""),
        "`stepdown certify plan` says it for your own rates.",
    )
