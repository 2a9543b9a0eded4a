"""What `train` shows: the card of the set before, and the new tier beside the old ones after."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.train.data_card import DataCard
from stepdown.wiring.training import Trained

MOST_LABELS = 12  # rows of labels that a card shows; the rest is counted


def card_section(card: DataCard) -> Section:
    """Return the card of a training set."""
    blocks: list[Table | Prose] = [Prose(_sentence(card)), _sources(card)]
    if card.by_label:
        blocks.append(_labels(card))
    if card.refused:
        blocks.append(_refused(card))
    return Section(f"Training set of {card.task}", tuple(blocks))


def _sentence(card: DataCard) -> str:
    return (
        f"{card.n:,} rows in {card.groups:,} groups, {card.n_validation:,} of them kept for the "
        f"recipe's own choices; {card.duplicates:,} near-duplicates removed; "
        f"{card.overlap:,} rows in common with eval and certify rows."
    )


def _sources(card: DataCard) -> Table:
    said = {
        "set": "labelled rows of the train part",
        "feedback": "corrections of people",
        "ceiling": "answers of the ceiling",
    }
    rows: list[tuple[Cell, ...]] = [
        (said.get(name, name), Claim(n, "count")) for name, n in card.sources.items()
    ]
    notes = (f'The task keeps of its traffic: store = "{card.store}".', *card.notes)
    return Table(
        title="Sources",
        columns=(Column("whose word"), Column("rows", numeric=True)),
        rows=tuple(rows),
        notes=notes,
    )


def _labels(card: DataCard) -> Table:
    ordered = sorted(card.by_label.items(), key=lambda pair: (pair[1], pair[0]))
    shown = ordered if len(ordered) <= MOST_LABELS else ordered[:MOST_LABELS]
    more = len(ordered) - len(shown)
    notes = (f"The rarest {len(shown)}; {more} more labels have as many or more.",) if more else ()
    return Table(
        title="Labels",
        columns=(Column("label"), Column("rows", numeric=True)),
        rows=tuple((name, Claim(n, "count")) for name, n in shown),
        notes=notes,
    )


def _refused(card: DataCard) -> Table:
    return Table(
        title="Not taken",
        columns=(Column("why"), Column("rows", numeric=True), Column("for example")),
        rows=tuple((one.reason, Claim(one.n, "count"), one.example) for one in card.refused),
    )


def document(found: Sequence[Trained]) -> Document:
    """Return the report of what was trained."""
    return Document(
        title="Train", sections=(Section("New and old", (_table(found), *_besides(found))),)
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
