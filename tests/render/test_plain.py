"""Markdown and CSV: every figure stands in them, and what is in a log stays text."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from stepdown.adapters.render.plain import csv_table, markdown
from stepdown.core.report import (
    Bar,
    Bars,
    Claim,
    Column,
    Document,
    Plot,
    Point,
    Prose,
    Section,
    Table,
)

TABLE = Table(
    title="Bill",
    columns=(Column("Step"), Column("Cost", numeric=True), Column("Note")),
    rows=(("intent", Claim(0.123456789, "usd", source="a list"), "x"), ("draft", Claim(None), "")),
    total=("total", Claim(0.5, "usd"), ""),
    notes=("At least.", "recorded: answers of a model"),
)


def test_markdown_holds_headings_facts_tables_totals_notes_and_sources() -> None:
    text = markdown(
        Document(
            title="Audit",
            subtitle="of a log",
            facts=(("calls", "3"),),
            sections=(Section("One", (TABLE, Prose("Mind this.", "warn"))),),
            footer="Done.",
        )
    )
    for line in (
        "# Audit",
        "- **calls**: 3",
        "## One",
        "### Bill",
        "| Step | Cost | Note |",
        "| --- | --: | --- |",
        "| intent | $0.123 | x |",
        "| draft | unknown |  |",
        "| total | $0.500 |  |",
        "Source: a list.",
        "Recorded: answers of a model",
        "Mind this.",
        "Done.",
    ):
        assert line in text.splitlines(), line


def test_a_plot_is_named_and_bars_are_a_table() -> None:
    plot = Plot(title="Cost over time", x_label="x", y_label="y", points=(Point(1, 2),))
    bars = Bars(title="Spend", bars=(Bar.of("a", 2.0),), unit="usd", notes=("A month.",))
    text = markdown(Document(title="t", sections=(Section("s", (plot, bars)),)))
    assert "*Cost over time*: 1 points" in text
    assert "| a | $2.00 |" in text
    assert "A month." in text


def test_text_of_a_log_is_no_markdown_and_no_html() -> None:
    hostile = "<img src=x onerror=alert(1)> | **bold** [link](http://x) `code` # head"
    table = Table(title="t", columns=(Column("Step"),), rows=((hostile,),))
    text = markdown(Document(title=hostile, sections=(Section("s", (table,)),)))
    assert "<img" not in text
    assert "\\*\\*bold\\*\\*" in text
    assert "\\[link\\]" in text
    row = next(line for line in text.splitlines() if line.startswith("| ") and "img" in line)
    assert row.count(" | ") == 0


def test_csv_has_full_precision_empty_unknowns_and_the_total() -> None:
    rows = list(csv.reader(io.StringIO(csv_table(TABLE))))
    assert rows == [
        ["Step", "Cost", "Note"],
        ["intent", "0.123456789", "x"],
        ["draft", "", ""],
        ["total", "0.5", ""],
    ]


def test_a_spreadsheet_runs_nothing_that_a_log_says() -> None:
    for said in ("=1+1", "+1", "-1", "@SUM(A1)"):
        table = Table(title="t", columns=(Column("Step"),), rows=((said,),))
        assert list(csv.reader(io.StringIO(csv_table(table))))[1] == [f"'{said}"]


@given(st.lists(st.tuples(st.text(max_size=30), st.floats()), max_size=5))
def test_any_table_is_one_row_of_csv_and_one_line_of_markdown_each(
    cells: list[tuple[str, float]],
) -> None:
    rows = tuple((text, Claim(value, "usd")) for text, value in cells)
    columns = (Column("a"), Column("b", numeric=True))
    table = Table(title="t", columns=columns, rows=rows)
    assert len(list(csv.reader(io.StringIO(csv_table(table))))) == 1 + len(rows)
    text = markdown(Document(title="t", sections=(Section("s", (table,)),)))
    assert sum(line.startswith("| ") for line in text.splitlines()) == 2 + len(rows)
