"""An import as a report: what became of the rows, examples of what was refused, what to do next."""

from __future__ import annotations

from pathlib import Path

from stepdown.core.report import Claim, Column, Document, Prose, Section, Table
from stepdown.evals.import_card import Card
from stepdown.wiring.importing import Imported

MOST_LEAKS, MOST_LABELS, SHOWN = 5, 12, 60


def document(found: Imported, root: Path) -> Document:
    """Return the report of an import; `root` is the folder of stepdown.toml."""
    card = found.card
    facts = (
        ("set", str(found.path)),
        ("rows", f"{card.n:,}"),
        ("references", _references(card)),
        ("card", str(found.card_path)),
    )
    blocks = (_fates(found), *_labels(card), *_examples(found), *_leaks(found))
    return Document(
        title="Eval import",
        subtitle=card.task or "",
        facts=facts,
        sections=(Section("What became of the rows", blocks), _next(found, root)),
    )


def _references(card: Card) -> str:
    if card.reference_is == "gold":
        return "gold: taken as the right answers"
    names = ", ".join(card.reference_models) or "a model"
    return f"the logged answers of {names}: agreement with it is measured, not truth"


def _fates(found: Imported) -> Table:
    card = found.card
    other = sum(n for source in card.sources for n in source.other_steps.values())
    rows = [("taken", Claim(card.n, "count"))]
    rows += [("not drawn", Claim(card.not_drawn, "count"))] if card.not_drawn else []
    rows += [(f"refused: {kind}", Claim(n, "count")) for kind, n in card.refused.items()]
    notes = [_compared(card), *_drawn(card)]
    notes += [f"Calls of other steps, passed over: {other:,}."] if other else []
    if found.refused_path is not None:
        notes.append(f"Every refused row, with its line and why: {found.refused_path}")
    return Table(
        title=f"{found.read:,} rows were read",
        columns=(Column("fate"), Column("rows", numeric=True)),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _compared(card: Card) -> str:
    told, words = card.compared, "Equal: but for case and white space."
    if told.mode == "keep":
        return "Duplicates were kept, as asked."
    if told.mode == "drop" and told.near_among:
        words += (
            f" Near: word shingles of three, Jaccard >= 0.8, among {told.near_among:,} rows; one "
            "with another label or other fields is kept."
        )
    if told.training_rows:
        words += f" Compared with {told.training_rows:,} training rows."
    return words


def _drawn(card: Card) -> list[str]:
    drawn = card.drawn
    if drawn is None or card.not_drawn == 0:
        return []
    by = f", in proportion by {drawn.by}" if drawn.by else ""
    short = "" if card.n == drawn.wanted else f" (of {drawn.wanted:,} wanted)"
    return [f"Drawn: {card.n:,}{short} of {drawn.of:,}{by}; the seed is a digest of the data."]


def _labels(card: Card) -> tuple[Table, ...]:
    if not len(card.labels) > 1 or max(card.labels.values()) < 2:
        return ()
    shown = list(card.labels.items())[:MOST_LABELS]
    more = len(card.labels) - len(shown)
    return (
        Table(
            title="References",
            columns=(Column("label"), Column("rows", numeric=True), Column("share", numeric=True)),
            rows=tuple(
                (label[:40], Claim(n, "count"), Claim(n / card.n, "share")) for label, n in shown
            ),
            notes=(f"and {more:,} more, in the card.",) if more else (),
        ),
    )


def _examples(found: Imported) -> tuple[Table, ...]:
    if not found.examples:
        return ()
    rows = tuple(
        (f"{one.kind}, line {one.line}", _cut(one.why), _cut(one.excerpt)) for one in found.examples
    )
    return (
        Table(
            title="The first refused row of each kind",
            columns=(Column("kind"), Column("why"), Column("row", optional=True)),
            rows=rows,
        ),
    )


def _leaks(found: Imported) -> tuple[Table, ...]:
    if not found.leaks:
        return ()
    fate = "kept, as asked" if found.card.compared.leaks_allowed else "refused"
    rows = tuple(
        (_cut(leak.text), leak.where, Claim(leak.near, "share"))
        for leak in found.leaks[:MOST_LEAKS]
    )
    more = len(found.leaks) - len(rows)
    return (
        Table(
            title=f"{len(found.leaks):,} rows stand in training data: {fate}",
            columns=(Column("training row"), Column("where"), Column("alike", numeric=True)),
            rows=rows,
            notes=(f"and {more:,} more.",) if more else (),
        ),
    )


def _next(found: Imported, root: Path) -> Section:
    card = found.card
    task = card.task or "TASK"
    path = _relative(found.path, root)
    words = (
        f"In stepdown.toml: [data] path = {path!r} with id = {card.columns['id']!r} and "
        f"input = {card.columns['input']!r}; or, for this task alone, [tasks.{task}] references = "
        f"{path!r}. Then `stepdown eval plan {task}`."
    )
    return Section("Next", (Prose(words),))


def _relative(path: Path, root: Path) -> str:
    whole, base = path.resolve(), root.resolve()
    return whole.relative_to(base).as_posix() if whole.is_relative_to(base) else str(whole)


def _cut(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= SHOWN else one[: SHOWN - 1] + "…"


def as_data(found: Imported) -> dict[str, object]:
    """Return an import as plain JSON."""
    return {
        "path": str(found.path),
        "card_path": str(found.card_path),
        "refused_path": None if found.refused_path is None else str(found.refused_path),
        "card": found.card,
        "examples": found.examples,
        "leaks": found.leaks,
    }
