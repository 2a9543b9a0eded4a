"""Write a report as Markdown, and a table as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from stepdown.adapters.render.bars import listing
from stepdown.adapters.render.evidence import evidence, plain_notes, recorded_notes
from stepdown.adapters.render.figures import claim_text
from stepdown.adapters.render.printable import one_line
from stepdown.core.report import Bars, Block, Cell, Claim, Document, Plot, Prose, Table

_FORMULA = ("=", "+", "-", "@")


def markdown(document: Document) -> str:
    """Return the report as Markdown (CommonMark with tables); plots are named, not drawn."""
    lines = [f"# {_text(document.title)}", "", _text(document.subtitle), ""]
    lines += [f"- **{_text(label)}**: {_text(value)}" for label, value in document.facts]
    for section in document.sections:
        lines += ["", f"## {_text(section.title)}"]
        for block in section.blocks:
            lines += ["", *_block(block)]
    if document.footer:
        lines += ["", _text(document.footer)]
    return "\n".join(lines) + "\n"


def csv_table(table: Table) -> str:
    """Return a table as CSV with full precision; unknown is empty, notes are left out."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.title for column in table.columns])
    for row in (*table.rows, *([table.total] if table.total else [])):
        writer.writerow([_bare(cell) for cell in row])
    return out.getvalue()


def _block(block: Block) -> list[str]:
    if isinstance(block, Bars):
        return [f"### {_text(block.title)}", "", *_table(listing(block)), *_under(block.notes)]
    if isinstance(block, Prose):
        return [_text(block.text)]
    if isinstance(block, Plot):
        return [f"*{_text(block.title)}*: {len(block.points):,} points, drawn in the HTML report."]
    notes = (*evidence(block), *plain_notes(block))
    notes += tuple(f"Recorded: {note}" for note in recorded_notes(block))
    return [f"### {_text(block.title)}", "", *_table(block), *_under(notes)]


def _table(table: Table) -> list[str]:
    rows = [*table.rows, *([table.total] if table.total else [])]
    return [
        _row([column.title for column in table.columns]),
        _row(["--:" if column.numeric else "---" for column in table.columns], raw=True),
        *(_row([_shown(cell) for cell in row]) for row in rows),
    ]


def _under(notes: Sequence[str]) -> list[str]:
    return [line for note in notes for line in ("", _text(note))]


def _row(cells: Sequence[str], *, raw: bool = False) -> str:
    return f"| {' | '.join(cell if raw else _text(cell) for cell in cells)} |"


def _shown(cell: Cell) -> str:
    return claim_text(cell) if isinstance(cell, Claim) else cell or ""


def _text(text: str) -> str:
    """Return text on one line in which Markdown and HTML mean nothing."""
    plain = one_line(text)
    for sign in ("\\", "`", "*", "_", "[", "]", "|", "#"):
        plain = plain.replace(sign, f"\\{sign}")
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _bare(cell: Cell) -> str | float:
    if isinstance(cell, Claim):
        return "" if cell.value is None else cell.value
    text = one_line(cell or "")
    return f"'{text}" if text.startswith(_FORMULA) else text  # a spreadsheet must not run it
