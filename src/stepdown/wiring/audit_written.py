"""What `audit --write` made, as a document: each step, its task, its rows, and what comes next."""

from __future__ import annotations

from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.wiring.audit_writing import Written, WrittenTask

NEXT = "Next: stepdown eval --all, stepdown train, stepdown certify, stepdown serve."
REFERENCES = (
    "The references are the logged answers of today's model: they measure agreement with it, not "
    "the truth. Label a few rows (stepdown label) where that matters."
)


def written_document(found: Written) -> Document:
    """Return the document."""
    made = [one for one in found.tasks if one.why_not is None]
    blocks: list[Table | Prose] = []
    if made:
        blocks.append(_table(made))
    blocks += [
        Prose(f"{one.step}: not written. {_sentence(one.why_not or '')}", "warn")
        for one in found.tasks
        if one.why_not is not None
    ]
    done = "Nothing was written: a dry run." if found.dry_run else NEXT
    return Document(
        title="Tasks from the log",
        subtitle=str(found.path),
        sections=(Section("Steps", (*blocks, Prose(REFERENCES))),),
        footer=done,
    )


def _table(made: list[WrittenTask]) -> Table:
    return Table(
        title="Tasks",
        columns=(
            Column("task"),
            Column("kind"),
            Column("rows", numeric=True),
            Column("left out"),
        ),
        rows=tuple(_row(one) for one in made),
        notes=("Left out rows stand with their reasons in data/TASK.refused.jsonl.",),
    )


def _row(one: WrittenTask) -> tuple[Cell, ...]:
    left = ", ".join(f"{n:,} {why}" for why, n in list(one.refused.items())[:3])
    return (one.task, one.kind, Claim(one.rows, "count"), left or "none")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
