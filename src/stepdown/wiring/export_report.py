"""How `train export` and `train import` are shown."""

from __future__ import annotations

from pathlib import Path

from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.wiring.training_export import ExportCard


def document(card: ExportCard, folder: Path) -> Document:
    """Return what was exported: counts, cost, rules, and what to do next."""
    rows: tuple[tuple[Cell, ...], ...] = (
        *((f"examples in {name}", Claim(n, "count")) for name, n in card.files.items()),
        ("tokens, estimated", Claim(card.tokens, "tokens")),
        ("tokens that are paid for", Claim(card.cost.tokens, "tokens")),
        ("cost", Claim(card.cost.usd, "usd")),
    )
    figures = Table(
        title="What was written",
        columns=(Column("figure"), Column("value", numeric=True)),
        rows=rows,
        notes=(f"Cost: {card.cost.basis}.", f"Tokens: {card.tokens_method}."),
    )
    data = card.data
    sources = ", ".join(f"{n:,} {name}" for name, n in data.sources.items())
    notes = [Prose(note, "warn") for note in card.notes]
    made_of: tuple[tuple[Cell, ...], ...] = (
        ("sources", sources),
        ("duplicates removed", Claim(data.duplicates, "count")),
        ("overlap with eval rows", Claim(data.overlap, "count")),
        ("texts masked", "not asked for" if data.masked is None else Claim(data.masked, "count")),
        ("digest", card.digest[:19] + "…"),
    )
    table = Table(title="The training set", columns=(Column("what"), Column("value")), rows=made_of)
    return Document(
        title="Train export",
        subtitle=f"{card.task}, {card.format}",
        facts=(("folder", str(folder)), ("rules", card.rules), ("answers", card.answers)),
        sections=(Section("Export", (figures, table, *notes)),),
        footer=(
            "The files hold texts of your customers: treat them as you treat your data. After "
            f"training: stepdown train import MODEL --task {card.task} --card {folder}"
        ),
    )
