"""The card of a training set as people read it, before anything is trained."""

from __future__ import annotations

from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.train.data_card import DataCard, Noise

MOST_LABELS = 12  # rows of labels that a card shows; the rest is counted


def card_section(card: DataCard) -> Section:
    """Return the card of a training set."""
    blocks: list[Table | Prose] = [Prose(_sentence(card)), _sources(card)]
    if card.by_label:
        blocks.append(_labels(card))
    if card.refused:
        blocks.append(_refused(card))
    if card.noise is not None and card.noise.examples:
        blocks.append(_noise(card.noise))
    return Section(f"Training set of {card.task}", tuple(blocks))


def _sentence(card: DataCard) -> str:
    return (
        f"{card.n:,} rows in {card.groups:,} groups, {card.n_validation:,} of them kept for the "
        f"recipe's own choices; {card.duplicates:,} near-duplicates removed; "
        f"{card.overlap:,} rows in common with eval and certify rows.{_masked(card)}"
    )


def _masked(card: DataCard) -> str:
    return "" if card.masked is None else f" Personal data were hidden in {card.masked:,} texts."


def _sources(card: DataCard) -> Table:
    said = {
        "set": "labelled rows of the train part",
        "feedback": "corrections of people",
        "ceiling": "answers of the ceiling",
    }
    rows: list[tuple[Cell, ...]] = [
        (said.get(name, name), Claim(n, "count")) for name, n in card.sources.items()
    ]
    hard = f"; {card.escalated:,} were escalated, and come first" if card.escalated else ""
    kept = f'Of {card.requests:,} requests in the ledger (store = "{card.store}"){hard}.'
    notes = (*((kept,) if card.requests else ()), *card.notes)
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
    notes = (
        (f"The rarest {len(shown)}; {more} more have up to {ordered[-1][1]:,} rows.",)
        if more
        else ()
    )
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


def card_document(card: DataCard) -> Document:
    """Return the card of a training set."""
    return Document(title="Train", sections=(card_section(card),))


def _noise(noise: Noise) -> Table:
    """Return the rows whose label a model that did not see them doubts most."""
    counts = (
        f"{noise.disagree:,} of {noise.n:,} labels are not what a model says that did not see "
        f"them ({noise.model}); {len(noise.suspects):,} of these it doubts. A doubt is no proof."
    )
    return Table(
        title="Doubtful labels, the most doubtful first",
        columns=(Column("row"), Column("label"), Column("model says"), Column("text")),
        rows=tuple((s.id, s.label, s.model_says, s.text) for s in noise.examples),
        notes=(counts, _dropped(noise)),
    )


def _dropped(noise: Noise) -> str:
    if noise.gain is None or noise.gain_low is None or noise.gain_high is None:
        return "None was dropped; --drop-noise measures whether dropping them helps."
    measured = f"{noise.gain:+.3f} [{noise.gain_low:+.3f}, {noise.gain_high:+.3f}] on validation"
    if noise.dropped:
        return f"They were dropped from the train rows: {measured}."
    return f"They were kept: dropping them brought {measured}, which may be chance."
