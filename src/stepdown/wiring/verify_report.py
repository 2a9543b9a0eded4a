"""How `verify` shows its verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.core.suite import Difference
from stepdown.wiring.machine import this_machine
from stepdown.wiring.verifying import Verdict

MOST_CHARS = 160  # of an answer that is shown


def document(found: Sequence[Verdict], title: str = "Verify") -> Document:
    """Return the report: a line for each tier, then the first difference of each that changed."""
    columns = (
        Column("task"),
        Column("tier"),
        Column("verdict"),
        Column("by"),
        Column("inputs", numeric=True),
        Column("why"),
    )
    table = Table(
        title="Answers as they were pinned?",
        columns=columns,
        rows=tuple(_row(one) for one in found),
        notes=tuple(_notes(found)),
    )
    blocks: list[Prose | Table] = [Prose(*_summary(found)), table]
    firsts = [one for one in found if one.played is not None and one.played.first is not None]
    blocks += [_first(one, one.played.first) for one in firsts if one.played and one.played.first]
    return Document(title=title, sections=(Section("Regression", tuple(blocks)),))


def _summary(found: Sequence[Verdict]) -> tuple[str, Any]:
    changed = sum(one.state == "changed" for one in found)
    unchecked = sum(one.state == "unchecked" for one in found)
    same = len(found) - changed - unchecked
    said = f"{same} as before, {changed} changed, {unchecked} not checked."
    if changed:
        return said, "bad"
    return said, "warn" if unchecked or not found else "good"


def _row(one: Verdict) -> tuple[Cell, ...]:
    inputs = one.canaries.prompts if one.canaries is not None else None
    if one.played is not None:
        inputs = one.played.asked
    by = one.by if one.played is None else f"suite, {_rule(one)}"
    shown = None if inputs is None else Claim(inputs, "count")
    return (one.task, one.tier, one.state, by, shown, one.why or None)


def _rule(one: Verdict) -> str:
    assert one.played is not None
    if one.played.rule == "exact":
        return "exact to 6 decimals"
    return f"within {one.played.tolerance:g}"


def _notes(found: Sequence[Verdict]) -> list[str]:
    played = [one.played for one in found if one.played is not None]
    notes = []
    if any(one.rule == "tolerance" for one in played):
        here = this_machine()
        notes.append(
            "Another type of CPU or another version of a runtime than when it was pinned: labels "
            f"must be equal and probabilities within the tolerance shown. Here: {here.cpu} "
            f"({', '.join(here.vectors) or 'vector instructions unknown'})."
        )
    left_out, unjudged = sum(p.left_out for p in played), sum(p.unjudged for p in played)
    if left_out:
        notes.append(f"{left_out} pinned rows are gone from the data or changed; not asked.")
    if unjudged:
        notes.append(f"{unjudged} free texts cannot be judged on another machine; not asked.")
    if any(one.canaries is not None for one in found):
        notes.append("Canaries: hosted models vary, so by a test at p <= 0.01; see `eval check`.")
    return notes


def _first(one: Verdict, first: Difference) -> Table:
    return Table(
        title=f"First difference: {one.task}, {one.tier}",
        columns=(Column("sample"), Column("expected"), Column("got"), Column("why")),
        rows=((first.sample, _cut(first.expected), _cut(first.got), first.why),),
    )


def _cut(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= MOST_CHARS else one[: MOST_CHARS - 1] + "…"
