"""What `train` shows after a training: the new tier beside the old ones, and what that means."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.wiring.paying import PAYS, WORDS, verdict_of
from stepdown.wiring.training import Trained


def document(found: Sequence[Trained]) -> Document:
    """Return the report of what was trained."""
    return Document(
        title="Train",
        sections=(Section("New and old", (_table(found), *_besides(found), *_verdicts(found))),),
    )


def _table(found: Sequence[Trained]) -> Table:
    columns = (
        Column("task"),
        Column("tier"),
        Column("recipe"),
        Column("rows", numeric=True),
        Column("tune score", numeric=True),
        Column("AUROC", numeric=True, optional=True),
        Column("ECE", numeric=True, optional=True),
        Column("fit", numeric=True, optional=True),
        Column("state"),
    )
    notes = [
        "Score, AUROC and ECE on tune rows, which no recipe has seen; 95% intervals.",
        *(f"{one.task} {one.tier}: {note}" for one in found for note in one.notes),
    ]
    return Table(
        title="Trained", columns=columns, rows=tuple(_row(one) for one in found), notes=tuple(notes)
    )


def _row(one: Trained) -> tuple[Cell, ...]:
    return (
        one.task,
        one.tier,
        one.recipe,
        Claim(one.n_train, "count"),
        one.proof.score,
        Claim(one.proof.auroc, "score"),
        Claim(one.proof.ece, "score"),
        Claim(one.seconds, "s"),
        "not registered" if one.artifact is None else one.artifact.state,
    )


def _besides(found: Sequence[Trained]) -> tuple[Table, ...]:
    return tuple(_beside(one) for one in found if one.proof.beside)


def _beside(one: Trained) -> Table:
    columns = (
        Column("beside"),
        Column("its score", numeric=True),
        Column("new less it", numeric=True),
        Column("$/1k", numeric=True),
        Column("p50", numeric=True, optional=True),
    )
    new = ("new", one.proof.score, None, one.proof.cost_usd, one.proof.p50_s)
    rows = tuple(
        (f"{b.name} ({b.role})", b.score, b.difference, b.cost_usd, b.p50_s)
        for b in one.proof.beside
    )
    return Table(
        title=f"{one.task}: {one.tier} beside other tiers",
        columns=columns,
        rows=(new, *rows),
        notes=("The same tune rows, paired; $ of a thousand calls.", *one.proof.notes),
    )


def _verdicts(found: Sequence[Trained]) -> tuple[Prose, ...]:
    return tuple(_verdict(one) for one in found)


def _verdict(one: Trained) -> Prose:
    """Say what it is worth, and what became of it."""
    worth = verdict_of(one.proof)
    became = {
        None: "nothing was registered",
        "promoted": "it answers from now on; a lock made before is stale, so certify again",
        "candidate": "kept as a candidate; `stepdown models promote` takes it",
        "retired": "kept as retired",
    }[None if one.artifact is None else one.artifact.state]
    said = f"{one.task} {one.tier}: {WORDS[worth]}; {became}."
    return Prose(said, "good" if worth in PAYS else "warn")
