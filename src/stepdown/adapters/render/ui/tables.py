"""Tables of the dashboard: captioned, scrolled within themselves, cells that may hold links."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from stepdown.adapters.render.html_table import html_table, table_notes
from stepdown.adapters.render.markup import Markup, tag
from stepdown.core.report import Cell, Column, Table
from stepdown.ports.pages import PREFIX


def block(
    title: str,
    columns: Sequence[Column],
    rows: Sequence[tuple[Cell, ...]],
    notes: Sequence[str] = (),
    *,
    key: str,
    kind: str = "block",
) -> Markup:
    """Return a table with its caption and notes; `key` makes its id unique on the page."""
    table = Table(title=title, columns=tuple(columns), rows=tuple(rows), notes=tuple(notes))
    caption = tag("caption", title, id=key)
    inside = tag("div", html_table(table, caption), class_="scroll", role="region", tabindex="0",
                 aria_labelledby=key)  # fmt: skip
    return tag("div", inside, table_notes(table), class_=kind)


def link(text: str, *parts: str, **query: str | None) -> Markup:
    """Return a link to a page below /ui: its path in `parts`, its query by name."""
    return tag("a", text, href=address(*parts, **query))


def address(*parts: str, **query: str | None) -> str:
    """Return the address of a page below /ui."""
    path = "/".join((PREFIX, *(quote(part, safe="") for part in parts)))
    said = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(said)}" if said else path
