"""`stepdown prices`: which price is used for a model, who says so and since when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from msgspec import Struct

from stepdown.adapters.prices.book import Book
from stepdown.adapters.prices.listed import (
    Chapter,
    history_of,
    listed_as,
    listed_names,
    nearest_names,
)
from stepdown.config.project import FILE, load_project
from stepdown.core.own_price import OwnPrices
from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.errors import ConfigError
from stepdown.ports.price_book import Rate, Rates

WAYS = ("standard", "batch", "flex", "priority")
CLASSES = ("input", "output", "cached", "written", "written_1h", "reasoning")
TITLES = ("input", "output", "cache read", "cache write", "write 1h", "reasoning")
MOST_SHOWN = 40


class WayPrice(Struct, frozen=True):
    """The price of one way of processing, None where nobody says it."""

    processing: str
    rates: Rates | None


class ModelPrices(Struct, frozen=True, kw_only=True):
    """Everything that is known of a model's price on a day."""

    model: str
    listed_as: str | None
    day: str
    ways: tuple[WayPrice, ...]
    history: tuple[Chapter, ...] = ()


class Found(Struct, frozen=True, kw_only=True):
    """The models that a search found: one with its prices, or several by name."""

    asked: str
    models: tuple[ModelPrices, ...]
    more: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    aliases: dict[str, str] = {}


def look_up(asked: str | None, own: OwnPrices, at: date) -> Found:
    """Return the prices of a model, or those of all models whose name holds the text.

    Raises:
        ConfigError: no model has such a name; names the nearest.
    """
    book = Book(at, own)
    if asked is None:
        names = _own_names(own)
    else:
        exact = _model(asked, book, own, at)
        if any(way.rates is not None for way in exact.ways):
            return Found(asked=asked, models=(exact,))
        names = [n for n in (*_own_names(own), *listed_names()) if asked.lower() in n.lower()]
        if not names:
            near = ", ".join(nearest_names(asked))
            raise ConfigError(
                f"No price is known of {asked!r}.",
                f"Nearest known names: {near}. "
                if near
                else "Give your own under [prices] in stepdown.toml.",
            )
    shown = tuple(_model(name, book, own, at) for name in names[:MOST_SHOWN])
    return Found(
        asked=asked or "",
        models=shown,
        more=tuple(names[MOST_SHOWN:]),
        own=tuple(own.models),
        aliases=dict(own.aliases),
    )


def _own_names(own: OwnPrices) -> list[str]:
    return [*(name for name in own.models if "*" not in name), *own.aliases]


def _model(name: str, book: Book, own: OwnPrices, at: date) -> ModelPrices:
    try:
        listed = listed_as(own.real(name), at=at)
        history = history_of(own.real(name), at=at)
    except ConfigError:
        listed, history = None, ()
    ways = [
        WayPrice(way, book.rates(name, provider=None, day=None, processing=way)) for way in WAYS
    ]
    return ModelPrices(
        model=name, listed_as=listed, day=at.isoformat(), ways=tuple(ways), history=history
    )


def prices_document(found: Found) -> Document:
    """Return what was found as a document."""
    if len(found.models) == 1 and found.asked:
        return _one(found.models[0])
    rows = tuple(_row(model.model, model.ways[0].rates) for model in found.models)
    more = (f"{len(found.more):,} more; search for a longer part of the name.",)
    blocks: list[Table | Prose] = [
        _table("Standard prices", "model", rows, more if found.more else ())
    ]
    if not found.asked:
        blocks = [
            Prose("Name a model, or a part of its name: stepdown prices gpt-5.1"),
            *(blocks if rows else []),
        ]
        if found.own:
            blocks.append(Prose(f"[prices] holds {', '.join(found.own)}."))
    return Document(title="Prices", sections=(Section("Models", tuple(blocks)),))


def _one(model: ModelPrices) -> Document:
    rows = [row for way in model.ways for row in _bands(way)]
    missing = [way.processing for way in model.ways if way.rates is None]
    sources = list(dict.fromkeys(r.source for w in model.ways if w.rates for r in w.rates.rates))
    notes = [*sources]
    if missing:
        notes.append(f"Not listed, so unknown and counted as such: {', '.join(missing)}.")
    blocks: list[Table | Prose] = [_table("Price used", "processing", tuple(rows), tuple(notes))]
    if len(model.history) > 1:
        told = tuple(_row(str(c.start or "before"), c.rates) for c in model.history)
        blocks.append(_table("List price by day", "since", told, ()))
    return Document(
        title=model.model,
        subtitle=f"Listed as {model.listed_as}"
        if model.listed_as
        else "Not listed: your own price",
        facts=(("day", model.day),),
        sections=(Section("Prices", tuple(blocks)),),
    )


def _bands(way: WayPrice) -> list[tuple[Cell, ...]]:
    if way.rates is None:
        return []
    starts: Sequence[int | None] = (None, *way.rates.starts)
    return [
        _cells(way.processing if start is None else f"{way.processing}, over {start:,}", rate)
        for start, rate in zip(starts, way.rates.rates, strict=True)
    ]


def _row(name: str, rates: Rates | None) -> tuple[Cell, ...]:
    return (name, *[None] * len(CLASSES)) if rates is None else _cells(name, rates.rates[0])


def _cells(name: str, rate: Rate) -> tuple[Cell, ...]:
    values = [getattr(rate, name) for name in CLASSES]
    return (name, *(None if usd is None else Claim(usd, "usd") for usd in values))


def _table(
    title: str, first: str, rows: tuple[tuple[Cell, ...], ...], notes: tuple[str, ...]
) -> Table:
    used = [i for i in range(len(CLASSES)) if i < 2 or any(row[i + 1] is not None for row in rows)]
    return Table(
        title=title,
        columns=(Column(first), *(Column(TITLES[i], numeric=True) for i in used)),
        rows=tuple((row[0], *(row[i + 1] for i in used)) for row in rows),
        notes=(
            "Dollars a million tokens; a class without a price costs as input or output.",
            *notes,
        ),
    )


def own_in(root: Path) -> OwnPrices:
    """Return the own prices of the project in a folder, none where there is no project."""
    return load_project(root).prices if (root / FILE).is_file() else OwnPrices()
