"""Where the question of `label` stands: in one line, as plain JSON, and as a report."""

from __future__ import annotations

from typing import Any

from stepdown.core.report import Claim, Column, Document, Prose, Section, Table
from stepdown.stats.labelling import Standing
from stepdown.wiring.labelling import Labelling


def standing_line(desk: Labelling, now: Standing) -> str:
    """Return in one line where the question stands."""
    kept, limit = desk.facts.kept, desk.facts.question.epsilon
    said = (
        f"{desk.labelled} labelled; the loss is under {now.bound_worst:.3f}, promised {limit:.3f}"
    )
    if now.decided:
        return f"{said}; decided: cheaper tiers keep {kept[now.certified]:.0%}"
    return f"{said}; {now.labels_left_at_most} to go at most"


def summary(desk: Labelling, now: Standing) -> dict[str, Any]:
    """Return where the question stands as plain JSON."""
    facts = desk.facts
    return {
        "task": facts.task.name,
        "max_loss": facts.question.epsilon,
        "delta": facts.question.delta,
        "rows": facts.question.n,
        "pool": facts.pool,
        "left_out": facts.left_out,
        "decided": now.decided,
        "labels": desk.labelled,
        "labels_left_at_most": now.labels_left_at_most,
        "loss_at_worst": now.bound_worst,
        "loss_at_best": now.bound_best,
        "certified_keeps": facts.kept[now.certified],
        "possible_keeps": facts.kept[now.possible],
        "disputed": list(desk.disputed),
    }


def document(desk: Labelling, now: Standing) -> Document:
    """Return where the question stands as a report."""
    facts = desk.facts
    rows = (
        ("rows of the test", Claim(facts.question.n, "count")),
        ("of these in the pool, without a reference", Claim(facts.pool, "count")),
        ("labelled by people", Claim(desk.labelled, "count")),
        ("disputed between people", Claim(len(desk.disputed), "count")),
        ("labels left at most", Claim(now.labels_left_at_most, "count")),
        ("bound on the loss, missing labels at worst", Claim(now.bound_worst, "score")),
        ("bound on the loss, missing labels at best", Claim(now.bound_best, "score")),
        ("loss that is promised at most", Claim(facts.question.epsilon, "score")),
        ("cheaper tiers keep, certified now", Claim(facts.kept[now.certified], "share")),
        ("cheaper tiers keep, still possible", Claim(facts.kept[now.possible], "share")),
    )
    columns = (Column("figure"), Column("value", numeric=True))
    table = Table(title="Where it stands", columns=columns, rows=rows, notes=_notes(desk))
    return Document(
        title="Label", sections=(Section(facts.task.name, (_verdict(desk, now), table)),)
    )


def _notes(desk: Labelling) -> tuple[str, ...]:
    facts = desk.facts
    delta = facts.task.promise.delta
    notes = [f"Bounds are for the cheapest policy still possible, at delta {delta:g}."]
    if facts.left_out:
        notes.append(f"{facts.left_out} rows of the pool resemble train or tune rows: left out.")
    if facts.alone:
        notes.append("An earlier test has spent the rows with a reference: the pool tests alone.")
    return tuple(notes)


def _verdict(desk: Labelling, now: Standing) -> Prose:
    if not now.decided:
        disputes = " `--resolve` asks about the disputed rows." if desk.disputed else ""
        return Prose(f"Not decided yet; the same command goes on from here.{disputes}", "warn")
    if now.certified:
        return Prose("Decided: run `stepdown certify` to write it into the lock.", "good")
    return Prose("Decided: no label can certify a cheaper policy any more.", "bad")
