"""What structured answers need beside the score: how many have the shape, and each field.

Validity and content are apart: `content` is the mean score of the answers that have the shape.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from stepdown.core.report import Claim, Column, Table
from stepdown.core.task import Task
from stepdown.evals.scored_rows import Rows, bare
from stepdown.evals.scorers.compared import FieldScore, field_scores, read_value

SHOWN = 20  # fields of a table, the weakest


class FieldFigures(Struct, frozen=True, kw_only=True):
    """One field: its mean score over the `n` valid answers where it counts, and how it missed."""

    field: str
    score: Claim
    wrong: int
    missing: int
    spurious: int
    n: int


class FieldReport(Struct, frozen=True, kw_only=True):
    """One tier on structured answers: the share with the right shape, and what is in those."""

    tier: str
    valid: Claim
    content: Claim
    fields: tuple[FieldFigures, ...]


def field_report(task: Task, rows: Rows, seed: int) -> FieldReport:
    """Return the figures of one tier."""
    valid = [outcome.failure is None for _, outcome in rows.pairs]
    scores = [None if o.failure is not None else o.score for _, o in rows.pairs]
    return FieldReport(
        tier=rows.tier,
        valid=rows.share(valid, seed),
        content=rows.mean(scores, seed),
        fields=_fields(task, rows, seed),
    )


def field_tables(reports: Sequence[FieldReport]) -> tuple[Table, ...]:
    """Return the figures as tables, fit for 80 columns."""
    shapes = Table(
        title="Shape and content",
        columns=(
            Column("tier"),
            Column("valid shape", numeric=True),
            Column("score of the valid", numeric=True),
            Column("n valid", numeric=True),
        ),
        rows=tuple(
            (one.tier, bare(one.valid), bare(one.content), Claim(one.content.n, "count"))
            for one in reports
        ),
        notes=("An answer without the right shape scores 0 in the table of scores.",),
    )
    return (shapes, *(_field_table(one) for one in reports if one.fields))


def _fields(task: Task, rows: Rows, seed: int) -> tuple[FieldFigures, ...]:
    found: dict[str, list[FieldScore | None]] = {}
    for number, (sample, outcome) in enumerate(rows.pairs):
        read = read_value(task, outcome.answer or "")
        if outcome.failure is not None or read.failure is not None:
            continue
        for one in field_scores(task, sample.reference, read.value):
            found.setdefault(one.field, [None] * len(rows.pairs))[number] = one
    return tuple(_figures(field, rows, each, seed) for field, each in found.items())


def _figures(field: str, rows: Rows, each: Sequence[FieldScore | None], seed: int) -> FieldFigures:
    verdicts = [one.verdict for one in each if one is not None]
    return FieldFigures(
        field=field,
        score=rows.mean([None if one is None else one.score for one in each], seed),
        wrong=verdicts.count("wrong"),
        missing=verdicts.count("missing"),
        spurious=verdicts.count("spurious"),
        n=len(verdicts),
    )


def _field_table(report: FieldReport) -> Table:
    ordered = sorted(report.fields, key=lambda one: one.score.value or 0.0)
    shown = report.fields if len(ordered) <= SHOWN else tuple(ordered[:SHOWN])
    which = "each field" if shown is report.fields else f"the {SHOWN} weakest of {len(ordered)}"
    columns = (
        Column("field"),
        Column("score", numeric=True),
        Column("wrong", numeric=True),
        Column("missing", numeric=True),
        Column("spurious", numeric=True),
        Column("n", numeric=True),
    )
    rows = tuple(
        (
            one.field,
            bare(one.score),
            Claim(one.wrong, "count"),
            Claim(one.missing, "count"),
            Claim(one.spurious, "count"),
            Claim(one.n, "count"),
        )
        for one in shown
    )
    notes = ("Of valid answers. Missing: only the reference has it; spurious: only the answer.",)
    return Table(title=f"{report.tier}: {which}", columns=columns, rows=rows, notes=notes)
