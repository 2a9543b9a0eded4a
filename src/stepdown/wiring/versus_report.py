"""Two runs side by side as a report: the difference, what changed both ways, cost and latency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from stepdown.core.answered import Answered
from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.evals.versus import LEVEL, Change, Versus
from stepdown.wiring.versus_runs import Compared

TEXT, SAID = 160, 120  # characters shown of a text and of an answer


def document(found: Compared, limit: int) -> Document:
    """Return the report; of the changes each way the first `limit` are shown with their texts."""
    return Document(
        title="Eval compare",
        subtitle=found.a.head.task,
        facts=(
            ("a, before", f"{found.a.name}, {_when(found.a.head.date)}"),
            ("b, after", f"{found.b.name}, {_when(found.b.head.date)}"),
            ("scorer", found.scorer),
        ),
        sections=tuple(_section(one, limit) for one in found.pairs),
        footer=" ".join([*found.notes, *_several(found.pairs)]),
    )


def _when(date: str) -> str:
    return date[:16].replace("T", " ") or "no date"


def _several(pairs: Sequence[Versus]) -> list[str]:
    if len(pairs) < 2:
        return []
    return [f"{len(pairs)} tests: each p-value stands alone; none is divided among them."]


def _section(one: Versus, limit: int) -> Section:
    blocks: list[Prose | Table] = [Prose(_verdict(one), _tone(one)), _scores(one), _costs(one)]
    for changes, how in ((one.worse, "fell"), (one.better, "rose")):
        blocks += [_changes(changes, how, limit)] if changes else []
    title = one.a if one.a == one.b else f"{one.a} → {one.b}"
    return Section(title, tuple(blocks))


def _verdict(one: Versus) -> str:
    gap = one.difference
    if gap.value is None:
        return "No sample has a score in both runs, so nothing can be compared."
    n, chance = f"{gap.n:,} common samples", f"p = {one.test.p_value:.3g}"
    if gap.value == 0:
        return f"b scores the same as a on {n} ({chance})."
    said = f"b is {'better' if gap.value > 0 else 'worse'} by {abs(gap.value):.3f} on {n}"
    if _settled(one):
        return f"{said}: more than chance would do ({chance})."
    return f"{said}, which may be chance ({chance})."


def _settled(one: Versus) -> bool:
    """Say whether a difference is more than chance, at the level of the intervals."""
    return one.test.p_value < 1 - LEVEL


def _tone(one: Versus) -> Any:
    if one.difference.value is None:
        return "warn"
    if not _settled(one):
        return "plain"
    return "good" if one.difference.value > 0 else "bad"


def _scores(one: Versus) -> Table:
    return Table(
        title="Score on the common samples",
        columns=(
            Column("a", numeric=True),
            Column("b", numeric=True),
            Column("b - a", numeric=True),
            Column("rose", numeric=True),
            Column("fell", numeric=True),
            Column("same", numeric=True),
        ),
        rows=((
            one.score_a, one.score_b, replace(one.difference, source=""),
            *(Claim(n, "count") for n in (len(one.better), len(one.worse), one.same)),
        ),),
        notes=tuple(_score_notes(one)),
    )  # fmt: skip


def _score_notes(one: Versus) -> list[str]:
    n = one.difference.n or 0
    units = f"{n:,} samples" + (f" in {one.groups:,} groups" if one.groups < n else "")
    notes = [f"{units}; interval: {one.difference.source or 'none'}; test: {one.test.method}."]
    if one.said_otherwise:
        notes.append(f"Another answer with the same score: {one.said_otherwise:,} samples.")
    if one.only_a or one.only_b:
        edited = f"; {one.edited:,} of them were edited in between" if one.edited else ""
        notes.append(f"Not compared: {one.only_a:,} only in a, {one.only_b:,} only in b{edited}.")
    if one.unscored:
        notes.append(f"Left out: {one.unscored:,} common samples without a score in one of them.")
    return notes


def _costs(one: Versus) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = (
        ("$/1k calls", one.costs.a, one.costs.b, one.costs.difference),
        ("p50", _plain(one.latency_a[0]), _plain(one.latency_b[0]), _gap(one, 0)),
        ("p95", _plain(one.latency_a[1]), _plain(one.latency_b[1]), _gap(one, 1)),
    )
    reused = f"{one.reused[0]:,} of a, {one.reused[1]:,} of b"
    notes = [f"Latency: each run's own measured calls; answers kept by earlier runs: {reused}."]
    if one.costs.unknown:
        notes.append(f"Cost unknown in one of them, left out: {one.costs.unknown:,} samples.")
    columns = (
        Column("figure"),
        Column("a", numeric=True),
        Column("b", numeric=True),
        Column("b - a", numeric=True),
    )
    return Table(title="Cost and latency", columns=columns, rows=rows, notes=tuple(notes))


def _plain(claim: Claim) -> Claim:
    return Claim(claim.value, claim.unit)


def _gap(one: Versus, place: int) -> Claim:
    before, after = one.latency_a[place].value, one.latency_b[place].value
    return Claim(None if before is None or after is None else after - before, "s")


def _changes(changes: Sequence[Change], how: str, limit: int) -> Table:
    shown = changes[:limit]
    more = len(changes) - len(shown)
    return Table(
        title=f"Samples whose score {how}: {len(changes):,}",
        columns=(Column("sample"), Column("reference"), Column("a said"), Column("b said")),
        rows=tuple(_row(change) for change in shown),
        notes=(f"and {more:,} more; --limit shows them.",) if more else (),
    )


def _row(change: Change) -> tuple[Cell, ...]:
    before, after = change.before, change.after
    text = f"{before.id}: {_cut(before.input, TEXT)}"
    return (text, _cut(before.reference or "–", SAID), _answer(before), _answer(after))


def _answer(one: Answered) -> str:
    said = "–" if one.answer is None else _cut(one.answer, SAID)
    score = "no score" if one.score is None else f"{one.score:.2f}"
    partly = one.score is not None and 0 < one.score < 1
    why = one.failure or (one.detail if partly or one.answer is None else "")
    return f"{said} ({score}{': ' + _cut(why, SAID) if why else ''})"


def _cut(text: str, most: int) -> str:
    one = " ".join(text.split())
    return one if len(one) <= most else one[: most - 1] + "…"


def as_data(found: Compared) -> dict[str, Any]:
    """Return a comparison as plain JSON, with every change."""
    return {
        "task": found.a.head.task,
        "a": found.a.head.digest,
        "b": found.b.head.digest,
        "scorer": found.scorer,
        "notes": found.notes,
        "pairs": [msgspec.to_builtins(one, enc_hook=_dataclass) for one in found.pairs],
    }


def _dataclass(value: Any) -> Any:
    from dataclasses import asdict

    return asdict(value)
