"""Draw figures by day as SVG: bars, a line, points with intervals, a level; and as a table.

Days without a value stay empty: nothing is drawn between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import Literal

from msgspec import Struct

from stepdown.adapters.render.axis import Axis, linear_axis
from stepdown.adapters.render.figures import claim_text
from stepdown.adapters.render.html_table import html_table
from stepdown.adapters.render.markup import Markup, join, tag
from stepdown.core.report import Cell, Claim, Column, Table, Unit

Shape = Literal["bars", "line", "dots", "level"]
_CLASSES: dict[Shape, str] = {
    "bars": "bar-spent",
    "line": "line-base",
    "dots": "dot",
    "level": "line-floor",
}
_MARGINS = (62.0, 10.0, 12.0, 26.0)  # left, top, right, bottom
_RADIUS = 3.0


class Track(Struct, frozen=True):
    """One run of figures, a claim or None for each day; a level has one for all days."""

    name: str
    shape: Shape
    claims: tuple[Claim | None, ...]


class Timeline(Struct, frozen=True, kw_only=True):
    """Tracks over the same `days` (`YYYY-MM-DD`)."""

    title: str
    days: tuple[str, ...]
    tracks: tuple[Track, ...]
    unit: Unit
    notes: tuple[str, ...] = ()


class _Paper(Struct, frozen=True):
    """Where a day and a value stand, in pixels."""

    name: str
    width: float
    height: float
    days: int
    axis: Axis

    @property
    def left(self) -> float:
        return _MARGINS[0]

    @property
    def right(self) -> float:
        return self.width - _MARGINS[2]

    @property
    def slot(self) -> float:
        return (self.right - self.left) / self.days

    def x(self, place: int) -> float:
        return self.left + (place + 0.5) * self.slot

    def y(self, value: float) -> float:
        bottom = self.height - _MARGINS[3]
        return bottom - self.axis.at(value) * (bottom - _MARGINS[1])


def timeline(shown: Timeline, key: str) -> Markup:
    """Return the figure; `key` makes its ids unique on the page."""
    values = list(_values(shown))
    title = tag("figcaption", shown.title, id=key)
    if not values:
        return tag("figure", title, tag("p", "Nothing to draw yet.", class_="none"),
                   _notes(shown.notes), aria_labelledby=key)  # fmt: skip
    axis = linear_axis([*values, *_floor_of(shown)], shown.unit, 4)
    papers = [
        _Paper("wide", 760, 230, len(shown.days), axis),
        _Paper("narrow", 350, 230, len(shown.days), axis),
    ]
    drawings = [_svg(shown, paper, key) for paper in papers]
    return tag(
        "figure", title, _legend(shown), *drawings, _notes(shown.notes), _as_table(shown),
        aria_labelledby=key,
    )  # fmt: skip


def _floor_of(shown: Timeline) -> list[float]:
    """Bars stand on zero; points of a score need not."""
    return [0.0] if any(track.shape == "bars" for track in shown.tracks) else []


def _values(shown: Timeline) -> Iterator[float]:
    for track in shown.tracks:
        for claim in track.claims:
            if claim is not None:
                yield from (v for v in (claim.value, claim.low, claim.high) if v is not None)


def _svg(shown: Timeline, paper: _Paper, key: str) -> Markup:
    parts = [_grid(paper), _dates(shown.days, paper)]
    parts += [_drawn(track, paper) for track in shown.tracks]
    ids = f"{key}-{paper.name}"
    said = f"{shown.title}, {shown.days[0]} to {shown.days[-1]}; the table below has the figures."
    head = tag("title", said, id=ids)
    box = f"0 0 {paper.width:g} {paper.height:g}"
    return tag("svg", head, *parts, class_=paper.name, role="img", viewBox=box, aria_labelledby=ids)


def _grid(paper: _Paper) -> Markup:
    parts = []
    for value, text in paper.axis.marks:
        y = paper.y(value)
        parts.append(tag("line", x1=paper.left, x2=paper.right, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", text, x=paper.left - 6, y=y + 4, class_="end"))
    return join(parts)


def _dates(days: Sequence[str], paper: _Paper) -> Markup:
    """Mark some days, evenly, the last one always."""
    most = 8 if paper.name == "wide" else 4
    step = max(1, -(-len(days) // most))
    places = range(len(days) - 1, -1, -step)
    y = paper.height - 8
    named = [(paper.x(p), _short(days[p])) for p in places]
    room = paper.right - 18
    return join(tag("text", text, x=min(x, room), y=y, class_="mid") for x, text in named)


def _short(day: str) -> str:
    found = date.fromisoformat(day)
    return f"{found.day} {found:%b}"


def _drawn(track: Track, paper: _Paper) -> Markup:
    kind = _CLASSES[track.shape]
    if track.shape == "level":
        y = paper.y(_level(track))
        return tag("line", x1=paper.left, x2=paper.right, y1=y, y2=y, class_=kind)
    if track.shape == "line":
        return join(_lines(track, paper, kind))
    draw = _bar if track.shape == "bars" else _dot
    marks = (
        draw(paper, place, claim, kind)
        for place, claim in enumerate(track.claims)
        if claim is not None and claim.value is not None
    )
    return join(marks)


def _level(track: Track) -> float:
    return next(c.value for c in track.claims if c is not None and c.value is not None)


def _bar(paper: _Paper, place: int, claim: Claim, kind: str) -> Markup:
    zero, top = paper.y(0.0), paper.y(claim.value or 0.0)
    width = max(0.8, paper.slot * 0.72)
    return tag(
        "rect", x=paper.x(place) - width / 2, y=min(zero, top), width=width,
        height=abs(zero - top), class_=kind,
    )  # fmt: skip


def _dot(paper: _Paper, place: int, claim: Claim, kind: str) -> Markup:
    x, parts = paper.x(place), []
    if claim.low is not None and claim.high is not None:
        y1, y2 = paper.y(claim.low), paper.y(claim.high)
        parts.append(tag("line", x1=x, x2=x, y1=y1, y2=y2, class_="reach"))
    parts.append(tag("circle", cx=x, cy=paper.y(claim.value or 0.0), r=_RADIUS, class_=kind))
    return join(parts)


def _lines(track: Track, paper: _Paper, kind: str) -> Iterator[Markup]:
    """Join neighbouring days; a day alone is a short stroke."""
    there = enumerate(claim is not None and claim.value is not None for claim in track.claims)
    for is_known, run in groupby(there, key=lambda pair: pair[1]):
        if is_known:
            yield _stroke(track, paper, [place for place, _ in run], kind)


def _stroke(track: Track, paper: _Paper, places: Sequence[int], kind: str) -> Markup:
    values = [claim.value or 0.0 for p in places if (claim := track.claims[p]) is not None]
    spots = [(paper.x(p), paper.y(v)) for p, v in zip(places, values, strict=True)]
    if len(spots) == 1:
        (x, y), reach = spots[0], paper.slot * 0.36
        spots = [(x - reach, y), (x + reach, y)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    return tag("polyline", points=points, class_=kind)


def _legend(shown: Timeline) -> Markup:
    return tag("ul", *(tag("li", _key(t.shape), t.name) for t in shown.tracks), class_="legend")


def _key(shape: Shape) -> Markup:
    kind = _CLASSES[shape]
    if shape == "bars":
        inside = tag("rect", x=2, y=2, width=10, height=10, class_=kind)
    elif shape == "dots":
        inside = tag("circle", cx=7, cy=7, r=_RADIUS + 0.5, class_=kind)
    else:
        inside = tag("line", x1=0, x2=14, y1=7, y2=7, class_=kind)
    return tag("svg", inside, class_="key", viewBox="0 0 14 14", aria_hidden="true")


def _notes(notes: Sequence[str]) -> Markup:
    return tag("div", *(tag("p", note) for note in notes), class_="notes") if notes else Markup()


def _as_table(shown: Timeline) -> Markup:
    """Return the figures, the latest day first, for readers who cannot see the drawing."""
    tracks = [track for track in shown.tracks if track.shape != "level"]
    columns = (Column("Day"), *(Column(track.name, numeric=True) for track in tracks))
    rows: list[tuple[Cell, ...]] = []
    for place in range(len(shown.days) - 1, -1, -1):
        cells = [_cell(track.claims[place]) for track in tracks]
        if any(cells):
            rows.append((shown.days[place], *cells))
    table = Table(title=shown.title, columns=columns, rows=tuple(rows))
    caption = tag("caption", shown.title, class_="sr")
    inside = tag("div", html_table(table, caption), class_="scroll", tabindex="0", role="region",
                 aria_label=shown.title)  # fmt: skip
    return tag("details", tag("summary", f"The figures as a table ({len(rows)} days)"), inside)


def _cell(claim: Claim | None) -> str | None:
    return None if claim is None else claim_text(claim)
