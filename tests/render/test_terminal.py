"""Reports are readable in any terminal: nothing is cut, and nothing a stranger wrote runs."""

import io
import re
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from stepdown.adapters.render.figures import figure, interval
from stepdown.adapters.render.terminal import print_document, print_table
from stepdown.core.report import Cell, Claim, Column, Document, Plot, Table


def printed(value: Table | Document, width: int = 80, *, terminal: bool = False) -> str:
    """Print to text."""
    stream = io.StringIO()
    colours: Literal["auto", "truecolor"] = "truecolor" if terminal else "auto"
    console = Console(file=stream, width=width, force_terminal=terminal, color_system=colours)
    if isinstance(value, Table):
        print_table(value, console)
    else:
        print_document(value, console)
    return stream.getvalue()


def claims(table: Table) -> list[Claim]:
    return [cell for row in table.rows for cell in row if isinstance(cell, Claim)]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_a_report_fits_the_width_of_the_terminal(document: Document, width: int) -> None:
    assert max(map(cell_len, printed(document, width).splitlines())) <= width


@pytest.mark.parametrize("width", [20, 30, 44, 60, 80, 200])
def test_no_figure_of_a_required_column_is_ever_cut(wide_table: Table, width: int) -> None:
    text = printed(wide_table, width)
    kept = [i for i, column in enumerate(wide_table.columns) if not column.optional]
    figures = [row[i] for row in wide_table.rows for i in kept]
    for claim in (cell for cell in figures if isinstance(cell, Claim)):
        assert figure(claim) in text
        assert all(part in text for part in interval(claim).split())


def test_optional_columns_go_from_the_right_and_are_named() -> None:
    columns = (Column("Step"), *(Column(f"Option{i}", optional=True) for i in range(4)))
    table = Table(title="T", columns=columns, rows=(("a", *["0123456789" for _ in range(4)]),))
    text = printed(table, 39)
    assert "Step  Option0     Option1\n" in text
    assert "Not shown at this width: Option2,\nOption3." in text
    assert "Not shown" not in printed(table, 80)


def test_a_table_too_wide_for_any_column_becomes_a_list(wide_table: Table) -> None:
    text = printed(msgspec.structs.replace(wide_table, notes=()), 30)
    assert "  Score: 0.913 [0.88, 0.94]\n" in text


def test_numbers_stand_right_and_under_each_other() -> None:
    columns = (Column("Step"), Column("Cost", numeric=True))
    rows = (("a", Claim(1.5, "usd")), ("bb", Claim(1234.0, "usd")))
    lines = printed(Table(title="T", columns=columns, rows=rows)).splitlines()
    assert lines[1:] == [
        "Step       Cost",
        "────  ─────────",
        "a         $1.50",
        "bb    $1,234.00",
    ]


def test_an_n_that_all_intervals_share_is_said_once_under_the_table() -> None:
    row = ("a", Claim(0.5, "score", 0.4, 0.6, 0.95, 300))
    columns = (Column("Step"), Column("Score", numeric=True))
    text = printed(Table(title="T", columns=columns, rows=(row, row)))
    assert text.count("n=300") == 1
    assert "Intervals at 95%; n=300 for each figure with an interval." in text


def test_unknown_is_said_and_nothing_is_a_dash() -> None:
    columns = (Column("Step"), Column("Cost", numeric=True), Column("Why"))
    text = printed(Table(title="T", columns=columns, rows=(("a", Claim(None, "usd"), None),)))
    assert re.search(r"a\s+unknown\s+–", text)


def test_sources_and_what_was_recorded_stand_under_the_table(wide_table: Table) -> None:
    text = printed(wide_table)
    assert "Source: ledger, 2026-11-22; accepted patterns." in text
    assert "Recorded: frontier answers are recorded" in text


def test_there_is_no_colour_when_it_is_not_a_terminal(document: Document) -> None:
    assert "\x1b" not in printed(document)


def test_there_is_colour_in_a_terminal_but_not_with_no_color(
    document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m" in printed(document, terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[\d;]*3\dm", printed(document, terminal=True))


def test_a_plot_names_the_chosen_point_and_points_to_the_html(document: Document) -> None:
    text = printed(document)
    assert "chosen: encoder, frontier at 0.62 ($0.000100, 0.929)" in text
    assert "plot: 2,407 points, see the HTML report" in text
    assert any(isinstance(block, Plot) for s in document.sections for block in s.blocks)


def test_escape_sequences_and_rich_markup_in_a_cell_do_nothing() -> None:
    cells: tuple[Cell, ...] = ("\x1b[31mred\x07", "[bold]b[/bold] [/nothing]")
    table = Table(title="[red]T", columns=(Column("A"), Column("B")), rows=(cells,))
    text = printed(table, terminal=True)
    assert "\x1b[31m" not in text
    assert "\x07" not in text
    assert "[bold]b[/bold] [/nothing]" in text
    assert "[red]T" in text


@settings(max_examples=60, deadline=None)
@given(
    cells=st.lists(st.text(max_size=60), min_size=2, max_size=6),
    width=st.integers(40, 120),
)
def test_any_text_fits_any_terminal(cells: list[str], width: int) -> None:
    columns = tuple(Column(f"C{i}", optional=i > 2) for i in range(len(cells)))
    text = printed(Table(title="T", columns=columns, rows=(tuple(cells),)), width)
    assert max(map(cell_len, text.split("\n"))) <= width
