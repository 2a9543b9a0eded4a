"""A check as a report, as plain JSON, and as an exit code."""

from __future__ import annotations

from typing import Any

from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.core.verdict_case import VerdictCase
from stepdown.wiring.checking import Check, How

MARKS = {"passed": "✓ passes", "failed": "✗ falls", "error": "! fix", "skipped": "– not judged"}


def code(found: Check) -> int:
    """Return the exit code: 2 when something must be fixed, 1 when something falls, else 0."""
    return 2 if found.ended("error") else 1 if found.ended("failed") else 0


def document(found: Check, how: How, unpinned: tuple[str, ...]) -> Document:
    """Return the report."""
    return Document(
        title="Eval check",
        facts=(("rows", f"{' and '.join(how.parts)} rows"),),
        sections=(
            Section("Does every locked task still pass?", (_verdict(found), _table(found, how))),
            *_canaries(found, unpinned),
        ),
        footer="It certifies nothing anew. What is seen here must not choose a policy.",
    )


def _verdict(found: Check) -> Prose:
    failed, broken = found.ended("failed"), found.ended("error")
    if broken:
        return Prose(f"{broken} cannot be judged until something is fixed; {failed} fall.", "warn")
    if failed:
        return Prose(f"{failed} of {len(found.cases)} fall.", "bad")
    return Prose(f"Nothing falls: {found.ended('passed')} pass.", "good")


def _table(found: Check, how: How) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (task.task, *_row(case), Claim(task.rows, "count") if task.replay else None)
        for task in found.tasks
        for case in task.cases
    ]
    open_ = "falls" if how.strict else "passes"
    falls = (
        "falls: the whole 95% interval lies on the wrong side of the limit; where the interval "
        f"holds the limit the promise is open, and {open_}."
    )
    notes = [falls]
    notes += [
        f"{task.task}: {task.left_out:,} rows without a kept answer were left out."
        for task in found.tasks
        if task.left_out
    ]
    columns = (
        Column("task"),
        Column("promise"),
        Column("verdict"),
        Column("figures"),
        Column("rows", numeric=True),
    )
    return Table(title="Tasks", columns=columns, rows=tuple(rows), notes=tuple(notes))


def _row(case: VerdictCase) -> tuple[Cell, ...]:
    told = case.detail if case.ended == "error" else case.message
    return (case.name, MARKS[case.ended], told)


def _canaries(found: Check, unpinned: tuple[str, ...]) -> tuple[Section, ...]:
    notes = []
    if unpinned:
        notes.append(f"Not pinned: {', '.join(unpinned)}; pin with `stepdown eval check --pin`.")
    if any(one.rule == "statistical" for one in found.canaries):
        notes.append(
            "Statistical: old and new answers dealt anew within each prompt (energy distance); a "
            "tier that did not change is called changed in 1% of checks."
        )
    if not found.canary_cases and not notes:
        return ()
    rows = tuple(
        (case.suite.removeprefix("canaries "), MARKS[case.ended], case.message)
        for case in found.canary_cases
    )
    columns = (Column("tier"), Column("verdict"), Column("why"))
    table = Table(title="Canaries", columns=columns, rows=rows, notes=tuple(notes))
    return (Section("Is every hosted tier the same?", (table,)),)


def as_data(found: Check) -> dict[str, Any]:
    """Return a check as plain JSON."""
    return {
        "passed": code(found) == 0,
        "cases": found.cases,
        "canaries": found.canaries,
        "tasks": [
            {"task": t.task, "rows": t.rows, "left_out": t.left_out, "replay": t.replay}
            for t in found.tasks
        ],
    }
