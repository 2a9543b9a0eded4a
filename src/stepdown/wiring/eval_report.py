"""An eval as a report: the figures of each task, and what must be said beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from stepdown.core.report import Cell, Column, Document, Section, Table
from stepdown.core.task import Task
from stepdown.evals.document import eval_document
from stepdown.evals.judge_figures import judge_table
from stepdown.evals.references import PATTERNS
from stepdown.evals.vector_figures import vector_table
from stepdown.wiring.eval_run import Evaluated
from stepdown.wiring.evaluating import ready, recorded_notes
from stepdown.wiring.set_card import card_notes
from stepdown.wiring.set_walk import described
from stepdown.wiring.workspace import Workspace


def document(workspace: Workspace, found: Sequence[Evaluated], parts: Sequence[str]) -> Document:
    """Return the report of an eval."""
    where = f"{' and '.join(parts)} rows; {described(workspace)}"
    notes = {one.task.name: notes_on(workspace, one) for one in found}
    whole = eval_document([one.summary for one in found], split=where, notes=notes)
    more = {one.task.name: (*one.kinds.tables, *_second_tables(one)) for one in found}
    sections = tuple(
        msgspec.structs.replace(part, blocks=(*part.blocks, *more.get(part.title, ())))
        for part in whole.sections
    )
    return msgspec.structs.replace(whole, sections=sections)


def _second_tables(one: Evaluated) -> Iterator[Table]:
    """Yield what a second pass tells of itself."""
    if one.judge is not None:
        yield judge_table(one.judge)
    if one.vectors is not None:
        yield vector_table(one.vectors)


def notes_on(workspace: Workspace, one: Evaluated) -> tuple[str, ...]:
    """Return what must be said about a task's tiers and references."""
    left_out = [f"{tier} is left out: {why}." for tier, why in one.left_out.items()]
    references = (*_reference_notes(workspace, one.task), *card_notes(workspace, one.task))
    if one.judge is not None:
        references = (*references, one.judge.words)
    return (*untrained_notes(workspace, one.task), *left_out, *references)


def untrained_notes(workspace: Workspace, task: Task) -> tuple[str, ...]:
    """Return the note that names the task's experts which were not trained yet."""
    waiting = [name for name in task.tiers if name not in ready(workspace, task)]
    return (f"Not trained yet: {', '.join(waiting)}; run `stepdown train`.",) if waiting else ()


def _reference_notes(workspace: Workspace, task: Task) -> tuple[str, ...]:
    source = workspace.project.references.get(task.name)
    if source is None:
        return ()
    where = f"{Path(source).name}, {sum(1 for _ in workspace.walk(task)):,} rows"
    logged = bool(card_notes(workspace, task))
    if task.scorer in PATTERNS and not logged:
        return (f"Scored by accepted patterns ({where}); they say nothing about tone.",)
    return (f"References: {where}.",)


def overview(workspace: Workspace, found: Sequence[Evaluated], parts: Sequence[str]) -> Document:
    """Return one table with a row for each task and tier: fit for a first look."""
    columns = (
        Column("task"),
        Column("tier"),
        Column("score", numeric=True),
        Column("p50", numeric=True),
        Column("$/1k calls", numeric=True),
        Column("verdict"),
    )
    rows = tuple(row for one in found for row in _overview_rows(one))
    notes = [f"{one.task.name}: {one.summary.decision.text}" for one in found]
    notes += dict.fromkeys(note for one in found for note in notes_on(workspace, one))
    used = {tier: tier for one in found for tier in one.task.tiers}
    notes += recorded_notes(workspace, used)
    table = Table(
        title="One set, one metric, every tier", columns=columns, rows=rows, notes=tuple(notes)
    )
    where = f"{' and '.join(parts)} rows; {described(workspace)}"
    section = Section("Eval", (table,))
    return Document(title="Eval", facts=(("rows", where),), sections=(section,))


def _overview_rows(one: Evaluated) -> list[tuple[Cell, ...]]:
    return [
        (one.task.name, t.tier, t.score, t.latency_p50_s, t.usd_per_1k, str(t.verdict))
        for t in one.summary.tiers
    ]
