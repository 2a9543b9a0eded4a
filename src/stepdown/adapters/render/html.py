"""Write a report as one HTML page: no script, no network, readable in print and in the dark.

Its policy (CSP) allows nothing but the page's own style sheet, by its hash.
"""

import os
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib.resources import files
from itertools import count
from pathlib import Path

from msgspec import Struct

from stepdown.adapters.render import bars
from stepdown.adapters.render.html_table import html_table, table_notes
from stepdown.adapters.render.markup import Markup, join, tag
from stepdown.adapters.render.page_head import page_head
from stepdown.adapters.render.plot import (
    MOST_POINTS,
    NARROW,
    WIDE,
    Drawn,
    drawn,
    mark,
    notes,
    svg,
)
from stepdown.core.report import (
    Bars,
    Block,
    Cell,
    Claim,
    Column,
    Document,
    Plot,
    Point,
    Prose,
    Section,
    Table,
)
from stepdown.errors import InputError

_MOST_LISTED = 60
_PAGE_POINTS = 1600  # over all plots, so that a page with many stays under 500 kB
_TONES = {"good": ("✓", "Good"), "bad": ("✗", "Bad"), "warn": ("!", "Warning")}


class _Numbers(Struct):
    """Counts tables and figures while a page is written."""

    tables: Iterator[int]
    figures: Iterator[int]
    most_points: int


def html_document(document: Document) -> str:
    """Return the whole report as one self-contained page."""
    plots = sum(isinstance(b, Plot) for s in document.sections for b in s.blocks)
    numbers = _Numbers(count(1), count(1), min(MOST_POINTS, _PAGE_POINTS // max(1, plots)))
    main = [_section(s, place, numbers) for place, s in enumerate(document.sections, 1)]
    footer = [tag("footer", tag("p", document.footer))] if document.footer else []
    body = tag("body", _header(document), tag("main", *main), *footer)
    head = page_head(document.title, _style(), _policy())
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def document_parts(document: Document) -> Markup:
    """Return what a report says, without a page around it: its facts and its sections."""
    numbers = _Numbers(count(1), count(1), MOST_POINTS)
    pairs = [tag("div", tag("dt", k), tag("dd", v)) for k, v in document.facts]
    facts = [tag("dl", *pairs, class_="facts")] if pairs else []
    sections = [_section(s, place, numbers) for place, s in enumerate(document.sections, 1)]
    return join([*facts, *sections])


def plot_figure(plot: Plot, number: int) -> Markup:
    """Return a plot as a figure; `number` makes its ids unique on the page."""
    return _figure(plot, number, MOST_POINTS)


def write_html(path: str | os.PathLike[str], document: Document) -> None:
    """Write the page to `path`, whole or not at all; parent folders are made.

    Raises: InputError when the file cannot be written, naming it and the reason.
    """
    write_page(path, html_document(document))


def write_page(path: str | os.PathLike[str], page: str) -> None:
    """Write a whole page to `path`; raises as `write_html` does."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, page.encode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"Cannot write the report to {target}: {reason}.",
            "Give a path in a folder that you may write to.",
        ) from error


def _replace(target: Path, content: bytes) -> None:
    """Write beside the target, then rename: a reader never sees half a page."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _umask() -> int:
    """Return the umask; reading it needs setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@cache
def _style() -> str:
    lines = files(__package__).joinpath("page.css").read_text("utf-8").splitlines()
    return "\n".join(line.strip() for line in lines)


@cache
def _policy() -> str:
    digest = b64encode(sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _header(document: Document) -> Markup:
    parts = [tag("h1", document.title)]
    if document.subtitle:
        parts.append(tag("p", document.subtitle, class_="subtitle"))
    if document.facts:
        pairs = [tag("div", tag("dt", k), tag("dd", v)) for k, v in document.facts]
        parts.append(tag("dl", *pairs, class_="facts"))
    if len(document.sections) > 2:
        parts.append(_contents(document.sections))
    return tag("header", *parts)


def _contents(sections: tuple[Section, ...]) -> Markup:
    items = [
        tag("li", _no(str(place)), tag("a", section.title, href=f"#section-{place}"))
        for place, section in enumerate(sections, 1)
    ]
    return tag("nav", tag("ol", *items), aria_label="Contents")


def _no(text: str) -> Markup:
    return join([tag("span", text, class_="no"), " "])


def _section(section: Section, place: int, numbers: _Numbers) -> Markup:
    key = f"section-{place}"
    head = tag("h2", _no(str(place)), section.title, id=key)
    blocks = [_block(block, numbers) for block in section.blocks]
    return tag("section", head, *blocks, aria_labelledby=key)


def _block(block: Block, numbers: _Numbers) -> Markup:
    if isinstance(block, Table):
        return _table_block(block, next(numbers.tables))
    if isinstance(block, Bars):
        return _bars_figure(block, next(numbers.figures))
    if isinstance(block, Plot):
        return _figure(block, next(numbers.figures), numbers.most_points)
    return _prose(block)


def _prose(prose: Prose) -> Markup:
    paragraphs = [part for part in prose.text.split("\n\n") if part.strip()]
    if prose.tone == "plain":
        return join(tag("p", part) for part in paragraphs)
    sign, meaning = _TONES[prose.tone]
    mark_ = join([
        tag("span", sign, class_="sign", aria_hidden="true"),
        tag("span", f"{meaning}: ", class_="sr"),
    ])  # fmt: skip
    return join(
        tag("p", *([mark_] if not i else []), part, class_=f"tone {prose.tone}")
        for i, part in enumerate(paragraphs)
    )


def _table_block(table: Table, number: int) -> Markup:
    key = f"table-{number}"
    caption = tag("caption", _no(f"Table {number}."), table.title, id=key)
    return tag(
        "div",
        tag("div", html_table(table, caption), class_="scroll", role="region", tabindex="0",
            aria_labelledby=key),
        table_notes(table),
        class_="block",
    )  # fmt: skip


def _figure(plot: Plot, number: int, most_points: int) -> Markup:
    key = f"figure-{number}"
    chosen = drawn(plot, most_points)
    caption = tag("figcaption", _no(f"Figure {number}."), plot.title, id=key)
    if not chosen.points:
        paper = [tag("p", "There is no point to draw.", class_="none")]
    else:
        paper = [svg(plot, chosen, size, key) for size in (WIDE, NARROW)]
    lines = [tag("p", note) for note in notes(plot, chosen)]
    under = [tag("div", *lines, class_="notes")] if lines else []
    return tag(
        "figure", caption, _legend(plot, chosen), *paper, *under, _listing(plot, chosen),
        aria_labelledby=key,
    )  # fmt: skip


def _bars_figure(block: Bars, number: int) -> Markup:
    key = f"figure-{number}"
    caption = tag("figcaption", _no(f"Figure {number}."), block.title, id=key)
    if bars.drawn(block):
        paper = [bars.svg(block, size, key) for size in (bars.WIDE, bars.NARROW)]
    else:
        paper = [tag("p", "There is nothing to draw.", class_="none")]
    lines = [tag("p", note) for note in block.notes]
    under = [tag("div", *lines, class_="notes")] if lines else []
    table = bars.listing(block)
    scroll = tag(
        "div", html_table(table, tag("caption", table.title, class_="sr")), class_="scroll"
    )
    listed = tag("details", tag("summary", f"The bars as a table ({len(block.bars)})"), scroll)
    return tag("figure", caption, *paper, *under, listed, aria_labelledby=key)


def _legend(plot: Plot, chosen: Drawn) -> Markup:
    named = [(i, name) for i, name in enumerate(chosen.series) if name]
    items = [tag("li", mark(i), name) for i, name in named]
    if any(p.chosen for p in chosen.points):
        ring = tag("circle", cx=7, cy=7, r=6, class_="ring") + tag("circle", cx=7, cy=7, r=3)
        sign = tag("svg", Markup(ring), class_="key chosen", viewBox="0 0 14 14")
        items.append(tag("li", sign, "chosen"))
    if plot.diagonal:
        line = tag("line", x1=0, y1=13, x2=14, y2=1, class_="diagonal")
        items.append(
            tag("li", tag("svg", line, class_="key", viewBox="0 0 14 14"), "perfect calibration")
        )
    return tag("ul", *items, class_="legend") if items else Markup()


def _listing(plot: Plot, chosen: Drawn) -> Markup:
    """Return the named points as a table, for readers who cannot see the plot."""
    few = len(chosen.points) <= _MOST_LISTED
    listed = [p for p in chosen.points if few or p.label or p.chosen][:_MOST_LISTED]
    if not listed:
        return Markup()
    with_series = any(p.series for p in listed)
    columns = [Column("Point"), *([Column("Series")] if with_series else [])]
    columns += [Column(plot.x_label, numeric=True), Column(plot.y_label, numeric=True)]
    rows = tuple(_listed(plot, p, with_series=with_series) for p in listed)
    table = Table(title=plot.title, columns=tuple(columns), rows=rows)
    scroll = tag("div", html_table(table, tag("caption", plot.title, class_="sr")), class_="scroll")
    return tag(
        "details",
        tag("summary", f"The {'' if few else 'named '}points as a table ({len(listed)})"),
        scroll,
    )


def _listed(plot: Plot, point: Point, *, with_series: bool) -> tuple[Cell, ...]:
    series = (point.series or None,) if with_series else ()
    y = Claim(point.y, plot.y_unit, point.y_low, point.y_high, note="chosen" * point.chosen)
    return (point.label or None, *series, Claim(point.x, plot.x_unit), y)
