"""The report of an eval by kind of task: what a mean score hides. It knows no latency and no cost.

To add one: a function from the scored rows of a tier to figures, one from figures to tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from stepdown.core.outcome import Outcome
from stepdown.core.report import Table
from stepdown.core.task import CHOICES, OBJECTS, Task
from stepdown.evals.dataset import Sample
from stepdown.evals.scored_rows import Rows, rows_by_tier


class KindReport(Struct, frozen=True):
    """Figures of each tier (Structs of the kind), and the same as tables."""

    figures: tuple[Any, ...] = ()
    tables: tuple[Table, ...] = ()


def tells_more(task: Task) -> bool:
    """Tell whether a task's kind has more to say than its score."""
    return task.kind in (*CHOICES, "tool_call") or (task.kind in OBJECTS and task.structured)


def kind_report(
    task: Task, samples: Iterable[Sample], outcomes: Iterable[Outcome], *, seed: int
) -> KindReport:
    """Return what a task's kind has to say of its tiers, weakest first; nothing without rows."""
    rows = rows_by_tier(task.tiers, samples, outcomes)
    return _report(task, rows, seed) if rows else KindReport()


def _report(task: Task, rows: Sequence[Rows], seed: int) -> KindReport:
    if task.kind in CHOICES:
        from stepdown.evals.label_report import label_report, label_tables

        labels = tuple(label_report(task, one, seed) for one in rows)
        return KindReport(labels, label_tables(task, labels))
    if task.kind in OBJECTS and task.structured:
        from stepdown.evals.field_report import field_report, field_tables

        fields = tuple(field_report(task, one, seed) for one in rows)
        return KindReport(fields, field_tables(fields))
    if task.kind == "tool_call":
        from stepdown.evals.call_report import call_report, call_tables

        calls = tuple(call_report(task, one, seed) for one in rows)
        return KindReport(calls, call_tables(calls))
    return KindReport()
