"""How `models try` shows the new tier beside the old one."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.wiring.evaluating import recorded_notes
from stepdown.wiring.sides import Side
from stepdown.wiring.trying import Rehearsed, Tried
from stepdown.wiring.workspace import Workspace


def document(workspace: Workspace, found: Tried) -> Document:
    """Return the report."""
    beside = Table(
        title=f"On {found.n:,} tune rows, paired",
        columns=(
            Column("figure"),
            Column("old", numeric=True),
            Column("new", numeric=True),
            Column("new - old", numeric=True),
        ),
        rows=_rows(found),
        notes=(
            "95% intervals; differences are paired by row. Kept answers were not asked again.",
            *_missing(found),
            *recorded_notes(workspace, [t for t in workspace.tiers if t in _names(found)]),
        ),
    )
    blocks: list[Prose | Table] = [Prose(*_verdict(found)), beside]
    sections = [Section("Beside each other", tuple(blocks))]
    if found.before is not None or found.after is not None or found.notes:
        sections.append(Section("What certification may find", _rehearsal(found)))
    return Document(
        title="Models try",
        subtitle=found.task,
        facts=(
            ("old", f"{found.old.name} ({found.old.model})"),
            ("new", f"{found.new.name} ({found.new.model})"),
        ),
        sections=tuple(sections),
        footer=(
            "Nothing was written. --add writes the tier; then `stepdown certify` decides on rows "
            "that chose nothing, and `stepdown serve share` lets it answer a few calls first."
        ),
    )


def _names(found: Tried) -> tuple[str, str]:
    return (found.new.name, found.old.name)


def _rows(found: Tried) -> tuple[tuple[Cell, ...], ...]:
    old, new = found.old, found.new
    return (
        ("score", _plain(old.score), _plain(new.score), _plain(found.difference)),
        ("$/1k calls", old.cost_usd, new.cost_usd, found.cost_difference),
        ("p50", old.p50_s, new.p50_s, _gap(old, new)),
    )


def _plain(claim: Claim) -> Claim:
    return replace(claim, source="")


def _gap(old: Side, new: Side) -> Claim:
    if old.p50_s.value is None or new.p50_s.value is None:
        return Claim(None, "s")
    return Claim(new.p50_s.value - old.p50_s.value, "s")


def _missing(found: Tried) -> list[str]:
    sides = (("old", found.old), ("new", found.new))
    return [
        f"{which}: {side.unanswered:,} rows without an answer that counts as one."
        for which, side in sides
        if side.unanswered
    ]


def _verdict(found: Tried) -> tuple[str, Any]:
    gap = found.difference
    if gap.value is None or gap.low is None or gap.high is None:
        return "No row has a score of both, so nothing can be compared.", "warn"
    if gap.low > 0:
        return f"The new one is better, by {gap.value:.3f} ({gap.low:.3f} or more).", "good"
    if gap.high < 0:
        return f"The new one is worse, by {-gap.value:.3f} ({-gap.high:.3f} or more).", "bad"
    return f"{gap.n:,} rows do not tell them apart: {gap.low:+.3f} to {gap.high:+.3f}.", "plain"


def _rehearsal(found: Tried) -> tuple[Prose | Table, ...]:
    columns = (
        Column("tiers"),
        Column("state"),
        Column("keeps", numeric=True),
        Column("bound", numeric=True),
        Column("limit", numeric=True),
        Column("$/1k calls", numeric=True),
    )
    rows = [_line(one) for one in (found.before, found.after) if one is not None]
    table = Table(
        title="Without the new one, then with it",
        columns=columns,
        rows=tuple(rows),
        notes=(
            "A rehearsal: half of the tune rows chose, the other half tested. It promises nothing.",
            "The certify rows were not looked at. keeps: share that the ceiling did not answer.",
        ),
    )
    said = [Prose(note, "warn") for note in found.notes]
    return (*said, *([table] if rows else []))


def _line(one: Rehearsed) -> tuple[Cell, ...]:
    return (
        " > ".join(one.tiers),
        one.state,
        Claim(one.keeps, "share", n=one.n),
        Claim(one.bound),
        Claim(one.level),
        one.cost_usd,
    )
