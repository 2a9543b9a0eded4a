"""Draw a report in a terminal with rich; it never reads the environment itself.

Colour follows the console: none when it is not a terminal or when NO_COLOR is set.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from stepdown.adapters.render.bars import text_rows
from stepdown.adapters.render.evidence import evidence, plain_notes, recorded_notes, shared_n
from stepdown.adapters.render.figures import claim_text, number
from stepdown.adapters.render.fit import (
    GAP,
    NOTHING,
    Layout,
    Measure,
    Piece,
    aligned,
    fit,
    piece,
    wrap,
)
from stepdown.adapters.render.printable import one_line, printable
from stepdown.core.report import Bars, Block, Cell, Claim, Document, Plot, Table

if TYPE_CHECKING:
    from rich.console import Console

_TONES = {
    "plain": ("", ""),
    "good": ("✓ ", "green"),
    "bad": ("✗ ", "red"),
    "warn": ("! ", "yellow"),
}
_RULE = "─"


def print_document(document: Document, console: "Console") -> None:
    """Print a whole report at the width of the console."""
    _say(console, document.title, "bold")
    if document.subtitle:
        _say(console, document.subtitle, "dim")
    _print_facts(document.facts, console)
    for section in document.sections:
        console.print()
        _say(console, section.title, "bold cyan")
        for block in section.blocks:
            console.print()
            _print_block(block, console)
    if document.footer:
        console.print()
        _say(console, document.footer, "dim")


def print_table(table: Table, console: "Console") -> None:
    """Print a table; optional columns are dropped from the right until it fits.

    Where even that is too wide, each row becomes a short list, so no number is ever cut.
    """
    _say(console, table.title, "bold")
    grid = _grid(table)
    layout = fit(table.columns, grid, console.width, _measure())
    if layout is None:
        _print_records(table, console)
    else:
        _print_grid(table, grid, layout, console)
    _print_notes(table, layout, console)


def _print_block(block: Block, console: "Console") -> None:
    if isinstance(block, Table):
        print_table(block, console)
    elif isinstance(block, Bars):
        _print_bars(block, console)
    elif isinstance(block, Plot):
        _print_plot(block, console)
    else:
        mark, style = _TONES[block.tone]
        _say(console, block.text, style, lead=mark)


def _print_facts(facts: Sequence[tuple[str, str]], console: "Console") -> None:
    measure = _measure()
    wide = max((measure(one_line(label)) for label, _ in facts), default=0)
    for label, value in facts:
        name = one_line(label)
        _say(console, one_line(value), lead=name + " " * (wide - measure(name) + GAP))


def _print_plot(plot: Plot, console: "Console") -> None:
    _say(console, plot.title, "bold")
    for point in (p for p in plot.points if p.chosen):
        figures = f"{number(point.x, plot.x_unit)}, {number(point.y, plot.y_unit)}"
        _say(console, f"chosen: {point.label or 'unnamed'} ({figures})")
    _say(console, f"plot: {len(plot.points):,} points, see the HTML report", "dim")
    for note in plot.notes:
        _say(console, note, "dim")


def _print_bars(bars: Bars, console: "Console") -> None:
    _say(console, bars.title, "bold")
    for line in text_rows(bars, console.width):
        _line(console, line, "")
    for note in bars.notes:
        _say(console, note, "dim")


def _print_grid(
    table: Table, grid: Sequence[Sequence[Piece]], layout: Layout, console: "Console"
) -> None:
    numeric = [table.columns[number].numeric for number in layout.shown]
    heads = [one_line(table.columns[number].title).split() for number in layout.shown]
    measure = _measure()
    head = [wrap(words, size, measure) for words, size in zip(heads, layout.widths, strict=True)]
    _print_lines(head, numeric, layout.widths, console, "bold")
    _print_rule(layout, console)
    rows = _cells(grid, layout, numeric)
    for place, cells in enumerate(rows):
        if table.total is not None and place == len(rows) - 1:
            _print_rule(layout, console)
        _print_lines(cells, numeric, layout.widths, console)


def _cells(
    grid: Sequence[Sequence[Piece]], layout: Layout, numeric: Sequence[bool]
) -> list[list[list[str]]]:
    """Return the lines of each cell of each row."""
    stacks = []
    for place, column in enumerate(layout.shown):
        stack, width = [row[column] for row in grid], layout.widths[place]
        firsts = aligned(stack, layout.parts, _measure())
        pairs = zip(stack, firsts, strict=True)
        stacks.append([_cell_lines(p, first, layout.parts, width) for p, first in pairs])
    return [list(row) for row in zip(*stacks, strict=True)]


def _cell_lines(cell: Piece, first: str, parts: int, width: int) -> list[str]:
    measure = _measure()
    rest = [part for part in cell.parts[parts:] if part]
    notes = wrap(cell.words, width, measure)
    if first and not rest and len(notes) == 1 and measure(first) + 1 + measure(notes[0]) <= width:
        return [f"{first} {notes[0]}"]
    return [*([first] if first else []), *rest, *notes]


def _print_lines(
    cells: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    widths: Sequence[int],
    console: "Console",
    style: str = "",
) -> None:
    """Print one row whose cells may have several lines."""
    measure = _measure()
    for line in range(max(map(len, cells), default=0)):
        texts = [cell[line] if line < len(cell) else "" for cell in cells]
        padded = [
            " " * (width - measure(text)) + text if right else text + " " * (width - measure(text))
            for text, right, width in zip(texts, numeric, widths, strict=True)
        ]
        _line(console, (" " * GAP).join(padded).rstrip(), style)


def _print_rule(layout: Layout, console: "Console") -> None:
    _line(console, (" " * GAP).join(_RULE * width for width in layout.widths), "dim")


def _print_records(table: Table, console: "Console") -> None:
    """Print each row as `heading: value` lines, for terminals narrower than the table."""
    for row in (*table.rows, *([table.total] if table.total else [])):
        _line(console, _RULE * min(console.width, GAP * 4), "dim")
        for column, cell in zip(table.columns, row, strict=True):
            _say(console, f"{one_line(column.title)}: {_cell_text(cell)}", lead=" " * GAP)


def _print_notes(table: Table, layout: Layout | None, console: "Console") -> None:
    shown = range(len(table.columns)) if layout is None else layout.shown
    hidden = [one_line(c.title) for i, c in enumerate(table.columns) if i not in shown]
    if hidden:
        _say(console, f"Not shown at this width: {', '.join(hidden)}.", "dim")
    for note in (*evidence(table), *plain_notes(table)):
        _say(console, note, "dim")
    for note in recorded_notes(table):
        _say(console, f"Recorded: {note}", "yellow")


def _grid(table: Table) -> list[tuple[Piece, ...]]:
    with_n = shared_n(table) is None
    rows: Iterable[tuple[Cell, ...]] = (*table.rows, *([table.total] if table.total else []))
    return [tuple(piece(cell, with_n=with_n) for cell in row) for row in rows]


def _cell_text(cell: Cell) -> str:
    return claim_text(cell) if isinstance(cell, Claim) else cell or NOTHING


def _say(console: "Console", text: str, style: str = "", lead: str = "") -> None:
    """Print a paragraph that wraps at the width of the console, `lead` hanging before it."""
    measure = _measure()
    hang = measure(lead)
    for paragraph in printable(text).split("\n"):
        lines = wrap(paragraph.split(), max(8, console.width - hang), measure) or [""]
        for line in lines:
            _line(console, (lead + line).rstrip(), style)
            lead = " " * hang


def _line(console: "Console", text: str, style: str) -> None:
    """Print one line as it is: no markup, no highlighting, no second wrapping."""
    from rich.text import Text

    console.print(Text(text, style=style), soft_wrap=True, highlight=False)


def _measure() -> Measure:
    """Return rich's measure of the cells that a text takes (wide characters take two)."""
    from rich.cells import cell_len

    return cell_len
