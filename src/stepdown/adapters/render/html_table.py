"""Draw a table in HTML; a column of figures becomes figure, interval, bar and n side by side."""

from collections.abc import Sequence

from msgspec import Struct

from stepdown.adapters.render.evidence import evidence, plain_notes, recorded_notes, shared_n
from stepdown.adapters.render.figures import UNKNOWN, figure, interval, percent, sample_size
from stepdown.adapters.render.fit import NOTHING
from stepdown.adapters.render.markup import Markup, join, tag
from stepdown.adapters.render.whisker import Span, span, whisker
from stepdown.core.report import Cell, Claim, Column, Table

LONG_TEXT = 48  # letters; a column with longer text is kept wide enough to be read


class _Lane(Struct, frozen=True):
    """What a column of figures needs: a lane for intervals, their bar, and n or notes."""

    numeric: bool
    ranged: bool
    bar: Span | None
    beside: bool
    with_n: bool
    long: bool = False

    @property
    def cells(self) -> int:
        """How many cells the column takes in each row."""
        return 1 + self.ranged + (self.bar is not None) + (self.ranged and self.beside)


def html_table(table: Table, caption: Markup) -> Markup:
    """Return the table with `caption` (an element) and without its notes."""
    rows = (*table.rows, *([table.total] if table.total else []))
    with_n = shared_n(table) is None
    stacks = [[row[place] for row in rows] for place in range(len(table.columns))]
    lanes = [_lane(c, s, with_n=with_n) for c, s in zip(table.columns, stacks, strict=True)]
    heads = [_head(column, lane) for column, lane in zip(table.columns, lanes, strict=True)]
    body = tag("tbody", *(_row(row, lanes) for row in table.rows))
    foot = [] if table.total is None else [tag("tfoot", _row(table.total, lanes))]
    return tag("table", caption, tag("thead", tag("tr", *heads)), body, *foot)


def table_notes(table: Table) -> Markup:
    """Return what stands under the table; what was recorded is set apart."""
    lines = [tag("p", note) for note in (*evidence(table), *plain_notes(table))]
    mark = tag("b", "Recorded")
    lines += [tag("p", mark, note, class_="recorded") for note in recorded_notes(table)]
    return tag("div", *lines, class_="notes") if lines else Markup()


def _lane(column: Column, stack: Sequence[Cell], *, with_n: bool) -> _Lane:
    own = [cell for cell in stack if isinstance(cell, Claim)]
    return _Lane(
        numeric=column.numeric,
        ranged=any(interval(claim) for claim in own),
        bar=span(own),
        beside=any(_beside(claim, with_n=with_n) for claim in own),
        with_n=with_n,
        long=any(isinstance(cell, str) and len(cell) > LONG_TEXT for cell in stack),
    )


def _head(column: Column, lane: _Lane) -> Markup:
    wide = lane.cells if lane.cells > 1 else None
    kind = " ".join(["num"] * column.numeric + ["ranged"] * lane.ranged) or None
    return tag("th", column.title, scope="col", colspan=wide, class_=kind)


def _row(row: Sequence[Cell], lanes: Sequence[_Lane]) -> Markup:
    first = row[0] if row else None
    cells = [_cells(cell, lane) for cell, lane in zip(row, lanes, strict=True)]
    if isinstance(first, str) and lanes[0].cells == 1:
        cells[0] = tag("th", first, scope="row", class_="num" if lanes[0].numeric else None)
    return tag("tr", *cells)


def _cells(cell: Cell, lane: _Lane) -> Markup:
    kind = "num" if lane.numeric else "long" if lane.long else "text"
    if isinstance(cell, Claim) and lane.ranged:
        return _claim_cells(cell, lane, kind)
    rest = [tag("td", colspan=lane.cells - 1, class_="rest")] if lane.cells > 1 else []
    return join([tag("td", _content(cell, with_n=lane.with_n), class_=kind), *rest])


def _claim_cells(claim: Claim, lane: _Lane, kind: str | None) -> Markup:
    """Return a cell for each lane, so that figures and intervals stand under each other."""
    cells = [tag("td", _figure(claim), class_=kind)]
    cells.append(tag("td", interval(claim), class_="range"))
    if lane.bar is not None:
        cells.append(tag("td", whisker(claim, lane.bar), class_="bars"))
    if lane.beside:
        cells.append(tag("td", _beside(claim, with_n=lane.with_n), class_="by"))
    return join(cells)


def _content(cell: Cell, *, with_n: bool) -> Markup:
    if cell is None:
        return tag("span", NOTHING, class_="none")
    if isinstance(cell, str):
        return join([cell])
    beside = _beside(cell, with_n=with_n)
    return join([_figure(cell), *([" ", tag("span", beside, class_="by")] if beside else [])])


def _figure(claim: Claim) -> Markup:
    text = figure(claim)
    return tag("span", text, class_="unknown" if text == UNKNOWN else "fig", title=_hint(claim))


def _beside(claim: Claim, *, with_n: bool) -> str:
    return " ".join(filter(None, [sample_size(claim) if with_n else "", claim.note]))


def _hint(claim: Claim) -> str | None:
    """Return what else is known of a figure: its level, n and source."""
    level = f"{percent(claim.level)} interval" if claim.level is not None else ""
    known = [level, sample_size(claim), claim.source and f"source: {claim.source}"]
    return ", ".join(filter(None, known)) or None
