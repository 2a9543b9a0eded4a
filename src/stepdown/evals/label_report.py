"""What a closed label set needs beside the score: F1, each label, confusions, no label at all.

Intervals of F1 and kappa: percentile bootstrap over rows, or whole groups where there are any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from msgspec import Struct

from stepdown.core.report import Claim, Column, Table
from stepdown.core.requesting import match_label
from stepdown.core.task import Task
from stepdown.evals.scored_rows import LEVEL, Rows, bare, grouped
from stepdown.stats.arrays import Floats, Ints
from stepdown.stats.bootstrap import bootstrap_intervals
from stepdown.stats.classification import (
    Scale,
    confusion,
    kappa,
    macro_f1,
    micro_f1,
    precision_recall_f1,
)

SHOWN = 10  # labels of a table, the weakest; a small set is shown whole
WHOLE = 12  # labels up to which a set is small
PAIRS = 5  # confusions of each tier that are shown
BOOTSTRAP = "percentile bootstrap over rows, or whole groups"


class LabelFigures(Struct, frozen=True):
    """One label: None where nothing defines a figure (never given, or never right)."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    n: int


class Confused(Struct, frozen=True):
    """A label that was given in place of the right one, `times` of `n`."""

    right: str
    given: str
    times: int
    n: int


class LabelReport(Struct, frozen=True, kw_only=True):
    """One tier on a closed label set. `kappa` is there for judges; `no_label` counts rows."""

    tier: str
    accuracy: Claim
    macro_f1: Claim
    micro_f1: Claim
    kappa: Claim | None
    no_label: int
    labels: tuple[LabelFigures, ...]
    confusions: tuple[Confused, ...]


def label_report(task: Task, rows: Rows, seed: int) -> LabelReport:
    """Return the figures of one tier."""
    right, given = _codes(task, rows)
    table = confusion(right, given, len(task.labels))
    scale: Scale = "quadratic" if all(map(_is_number, task.labels)) else "none"

    def figures(drawn: Ints) -> list[float | None]:
        some = confusion(right[drawn], given[drawn], len(task.labels))
        return [macro_f1(some), micro_f1(some), kappa(some, scale)]

    macro, micro, agreed = _claims(figures, rows, seed)
    return LabelReport(
        tier=rows.tier,
        accuracy=rows.share([bool(hit) for hit in right == given], seed),
        macro_f1=macro,
        micro_f1=micro,
        kappa=agreed if task.kind == "judge" else None,
        no_label=int(table[:, -1].sum()),
        labels=_labels(task, table),
        confusions=_confusions(task, table),
    )


def label_tables(task: Task, reports: Sequence[LabelReport]) -> tuple[Table, ...]:
    """Return the figures as tables, fit for 80 columns."""
    weakest = (_label_table(task, report) for report in reports)
    confused = _confusion_table(reports)
    return (_set_table(task, reports), *weakest, *([confused] if confused.rows else []))


def _codes(task: Task, rows: Rows) -> tuple[Ints, Ints]:
    """Return right and given labels as numbers; an answer that is no label is the last number."""
    code, none = {label: i for i, label in enumerate(task.labels)}, len(task.labels)
    right = [code[sample.reference] for sample, _ in rows.pairs]
    said = ("" if o.failure else match_label(task.labels, o.answer or "") for _, o in rows.pairs)
    given = [code.get(label or "", none) for label in said]
    return np.array(right, dtype=np.int64), np.array(given, dtype=np.int64)


def _claims(figures: Callable[[Ints], list[float | None]], rows: Rows, seed: int) -> list[Claim]:
    n = len(rows.pairs)
    groups = grouped(rows.names)
    intervals = bootstrap_intervals(figures, n, groups, level=LEVEL, seed=seed)
    return [
        Claim(value, "score", found.low, found.high, LEVEL, n, source=BOOTSTRAP)
        for value, found in zip(figures(np.arange(n)), intervals, strict=True)
    ]


def _labels(task: Task, table: Ints) -> tuple[LabelFigures, ...]:
    columns = [_known(column) for column in precision_recall_f1(table)]
    support = table.sum(axis=1).tolist()
    rows = zip(task.labels, *columns, support, strict=True)
    return tuple(LabelFigures(*row) for row in rows)


def _known(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _confusions(task: Task, table: Ints) -> tuple[Confused, ...]:
    support, named = table.sum(axis=1), (*task.labels, "(no label)")
    wrong = Counter(
        {(i, j): int(times) for (i, j), times in np.ndenumerate(table) if i != j and times}
    )
    return tuple(
        Confused(task.labels[i], named[j], times, int(support[i]))
        for (i, j), times in sorted(wrong.items(), key=lambda one: (-one[1], one[0]))
    )


def _set_table(task: Task, reports: Sequence[LabelReport]) -> Table:
    judged = task.kind == "judge"
    columns = (
        Column("tier"),
        Column("accuracy", numeric=True),
        Column("macro F1", numeric=True),
        Column("kappa" if judged else "micro F1", numeric=True),
        Column("no label", numeric=True),
    )
    rows = tuple(
        (
            one.tier,
            bare(one.accuracy),
            bare(one.macro_f1),
            bare(one.kappa if one.kappa is not None else one.micro_f1),
            Claim(one.no_label, "count"),
        )
        for one in reports
    )
    kappa = "Kappa: agreement beyond chance (Cohen 1960), of 1 to 5 and the like by distance."
    macro = "Macro F1: mean over the labels that occur. No label: answers outside the set, or none."
    return Table(
        title="The whole set",
        columns=columns,
        rows=rows,
        notes=(macro, f"F1: {BOOTSTRAP}.", *([kappa] if judged else [])),
    )


def _label_table(task: Task, report: LabelReport) -> Table:
    some = [one for one in report.labels if one.n or one.precision is not None]
    weakest = sorted(some, key=lambda one: (_low(one.f1), -one.n))
    shown = some if len(some) <= WHOLE else weakest[:SHOWN]
    which = "each label" if shown is some else f"the {SHOWN} weakest labels of {len(some)}"
    columns = (
        Column("label"),
        Column("precision", numeric=True),
        Column("recall", numeric=True),
        Column("F1", numeric=True),
        Column("n", numeric=True),
    )
    rows = tuple(
        (
            one.label,
            Claim(one.precision, "score"),
            Claim(one.recall, "score"),
            Claim(one.f1, "score"),
            Claim(one.n, "count"),
        )
        for one in shown
    )
    return Table(title=f"{report.tier}: {which}", columns=columns, rows=rows)


def _low(f1: float | None) -> float:
    return -1.0 if f1 is None else f1


def _confusion_table(reports: Sequence[LabelReport]) -> Table:
    columns = (
        Column("tier"),
        Column("right label"),
        Column("answered"),
        Column("times", numeric=True),
        Column("of", numeric=True),
    )
    rows = tuple(
        (
            report.tier,
            one.right,
            one.given,
            Claim(one.times, "count"),
            Claim(one.n, "count"),
        )
        for report in reports
        for one in report.confusions[:PAIRS]
    )
    return Table(title=f"Most frequent confusions, {PAIRS} a tier", columns=columns, rows=rows)


def _is_number(label: str) -> bool:
    return label.lstrip("-").isdigit()
