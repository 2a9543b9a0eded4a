"""Draw a plot as SVG: points with intervals, lines, names, an axis on each side."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from stepdown.adapters.render.axis import SMALLEST_LOG, Axis, drawable, linear_axis, log_axis
from stepdown.adapters.render.figures import claim_text, number
from stepdown.adapters.render.labels import HEIGHT, Box, Label, place, text_width
from stepdown.adapters.render.markup import Markup, join, tag
from stepdown.adapters.render.printable import one_line
from stepdown.core.report import Claim, Plot, Point

SHAPES = 6
MOST_POINTS = 400
_MOST_WHISKERS = 60
_RADIUS = 3.6
_FINEST = 256


class Size(Struct, frozen=True):
    """The paper of one plot, in pixels, and the most marks on an axis."""

    name: str
    width: int
    height: int
    most: int
    tips: bool


WIDE = Size("wide", 760, 420, 8, tips=True)
NARROW = Size("narrow", 350, 330, 5, tips=False)


class Sheet(Struct, frozen=True):
    """Two axes on paper: values in, pixels out."""

    x: Axis
    y: Axis
    frame: Box

    def spot(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel of a point."""
        across = self.frame.left + self.x.at(x) * (self.frame.right - self.frame.left)
        return across, self.frame.bottom - self.y.at(y) * (self.frame.bottom - self.frame.top)


class Drawn(Struct, frozen=True):
    """The points that can be drawn, how many cannot, and whether x is logarithmic."""

    points: tuple[Point, ...]
    thinned: int
    without_value: int
    off_log: int
    log: bool
    series: tuple[str, ...]


def drawn(plot: Plot, most: int = MOST_POINTS) -> Drawn:
    """Choose the points to draw: no NaN, at most `most`, named and chosen points first."""
    sound = [p for p in plot.points if drawable(p.x) and drawable(p.y)]
    positive = [p for p in sound if p.x >= SMALLEST_LOG]
    log = plot.x_log and bool(positive) and not plot.diagonal
    possible = positive if log else sound
    kept = _thin(possible, most, joined=plot.joined, log=log)
    return Drawn(
        points=tuple(kept),
        thinned=len(possible) - len(kept),
        without_value=len(plot.points) - len(sound),
        off_log=len(sound) - len(possible),
        log=log,
        series=tuple(dict.fromkeys(p.series for p in plot.points)),
    )


def notes(plot: Plot, chosen: Drawn) -> tuple[str, ...]:
    """Return the plot's notes, and what is not drawn and why."""
    shown, total = len(chosen.points), len(chosen.points) + chosen.thinned
    own = [f"{shown:,} of {total:,} points are drawn, spread over the same area."]
    own = own if chosen.thinned else []
    if chosen.without_value:
        own.append(f"Not drawn, because a value is unknown: {_points(chosen.without_value)}.")
    if chosen.off_log:
        own.append(f"Not drawn, because a log axis has no zero: {_points(chosen.off_log)}.")
    return (*plot.notes, *own)


def svg(plot: Plot, chosen: Drawn, size: Size, key: str) -> Markup:
    """Return one SVG of the plot; `key` makes its ids unique on the page."""
    sheet = _sheet(plot, chosen, size)
    parts = [_axes(plot, sheet, size)]
    if plot.diagonal:
        parts.append(_diagonal(sheet))
    if plot.joined:
        parts += [_line(chosen, sheet, index) for index in range(len(chosen.series))]
    parts += [_series(plot, chosen, sheet, index, size) for index in range(len(chosen.series))]
    parts += [_chosen(plot, point, chosen, sheet, size) for point in chosen.points if point.chosen]
    parts.append(_labels(plot, chosen, sheet, size))
    ids = f"{key}-{size.name}"
    head = tag("title", plot.title, id=f"{ids}-t") + tag("desc", summary(plot), id=f"{ids}-d")
    return tag(
        "svg",
        Markup(head),
        *parts,
        class_=size.name,
        role="img",
        viewBox=f"0 0 {size.width} {size.height}",
        aria_labelledby=f"{ids}-t",
        aria_describedby=f"{ids}-d",
    )


def mark(index: int) -> Markup:
    """Return the mark of a series for the legend."""
    return tag("svg", _shape(index, 7, 7), class_=f"key s{index % SHAPES}", viewBox="0 0 14 14")


def summary(plot: Plot) -> str:
    """Say in words what the plot shows, for readers who cannot see it."""
    kind = "Line plot" if plot.joined else "Scatter plot"
    ends = f"{kind} of {plot.y_label} against {plot.x_label}, {_points(len(plot.points))}."
    picked = [f"Chosen: {tip(plot, p)}." for p in plot.points if p.chosen]
    return " ".join([ends, *picked])


def tip(plot: Plot, point: Point) -> str:
    """Write a point in one line: its name, x, and y with its interval."""
    y = Claim(point.y, plot.y_unit, point.y_low, point.y_high)
    figures = f"{number(point.x, plot.x_unit)}, {claim_text(y)}"
    names = ", ".join(name for name in (one_line(point.label), one_line(point.series)) if name)
    return f"{names}: {figures}" if names else figures


def _points(count: int) -> str:
    return f"{count:,} point" if count == 1 else f"{count:,} points"


def _thin(points: Sequence[Point], most: int, *, joined: bool, log: bool) -> list[Point]:
    """Keep the chosen and named points, and of the rest one per cell of a grid."""
    first = [p for p in points if p.chosen] + [p for p in points if p.label and not p.chosen]
    rest = [p for p in points if not (p.chosen or p.label)]
    room = max(0, most - len(first))
    first = first[:most]
    if len(rest) <= room:
        return [*first, *rest]
    kept = _every(rest, room) if joined else _one_per_cell(rest, room, log=log)
    return [*first, *kept]


def _every(points: Sequence[Point], room: int) -> list[Point]:
    """Keep evenly spaced points along x, with both ends."""
    ordered = sorted(points, key=lambda p: (p.x, p.y))
    if room < 2:
        return ordered[:room]
    return [ordered[round(i * (len(ordered) - 1) / (room - 1))] for i in range(room)]


def _one_per_cell(points: Sequence[Point], room: int, *, log: bool) -> list[Point]:
    """Keep the highest point of each cell, on the finest grid that keeps at most `room`."""
    across = _ranks([math.log(p.x) if log else p.x for p in points])
    down = _ranks([p.y for p in points])
    best = sorted(range(len(points)), key=lambda i: (-points[i].y, points[i].x))
    places = [(points[i].series, across[i], down[i], i) for i in best]
    grid = bisect_right(range(1, _FINEST), room, key=lambda size: len(_tops(places, size)))
    return [points[i] for i in sorted(_tops(places, grid))] if grid else _every(points, room)


def _tops(places: Sequence[tuple[str, float, float, int]], grid: int) -> list[int]:
    """Return the first point of each cell of each series."""
    cells: dict[tuple[str, int, int], int] = {}
    for series, x, y, i in places:
        cells.setdefault((series, int(x * grid), int(y * grid)), i)
    return list(cells.values())


def _ranks(values: Sequence[float]) -> list[float]:
    low, span = min(values), max(values) - min(values)
    return [(value - low) / span if span > 0 else 0.0 for value in values]


def _sheet(plot: Plot, chosen: Drawn, size: Size) -> Sheet:
    xs = [p.x for p in chosen.points] or [0.0, 1.0]
    ys = [v for p in chosen.points for v in (p.y, *_whisker(p)) if v is not None] or [0.0, 1.0]
    if plot.diagonal:
        xs = ys = [*xs, *ys]
    if plot.from_zero:
        ys = [0.0, *ys]
    y = linear_axis(ys, plot.y_unit, max(3, size.most - 2))
    left = 16 + max(text_width(text) for _, text in y.marks)
    x = _fitting(xs, plot, size, size.width - left - 24, log=chosen.log)
    right = size.width - max(16.0, text_width(x.marks[-1][1]) / 2 + 4)
    return Sheet(x, y, Box(left, 36.0, right, size.height - 48.0))


def _fitting(xs: Sequence[float], plot: Plot, size: Size, room: float, *, log: bool) -> Axis:
    """Return the x axis with as many marks as have room for their texts."""
    make = log_axis if log else linear_axis
    axes = (make(xs, plot.x_unit, most) for most in range(size.most, 1, -1))
    fallback = make(xs, plot.x_unit, 2)
    return next((axis for axis in axes if _marks_apart(axis, room)), fallback)


def _marks_apart(axis: Axis, room: float) -> bool:
    """Say whether no two texts under the axis touch."""
    spans = [(axis.at(value) * room, text_width(text) / 2) for value, text in axis.marks]
    return all(x2 - half2 - (x1 + half1) >= 8 for (x1, half1), (x2, half2) in pairwise(spans))


def _axes(plot: Plot, sheet: Sheet, size: Size) -> Markup:
    frame = sheet.frame
    parts = []
    for value, text in sheet.y.marks:
        y = sheet.spot(sheet.x.low, value)[1]
        parts.append(_rule(frame.left, y, frame.right, y, "grid"))
        parts.append(tag("text", text, x=frame.left - 8, y=y + 4, class_="end"))
    for value, text in sheet.x.marks:
        x = sheet.spot(value, sheet.y.low)[0]
        parts.append(_rule(x, frame.bottom, x, frame.bottom + 5, "tick"))
        parts.append(tag("text", text, x=x, y=frame.bottom + 19, class_="mid"))
    parts.append(_rule(frame.left, frame.bottom, frame.right, frame.bottom, "base"))
    log = ", log scale" if sheet.x.log else ""
    middle = (frame.left + frame.right) / 2
    parts.append(tag("text", plot.y_label, x=4, y=16, class_="name"))
    parts.append(tag("text", plot.x_label + log, x=middle, y=size.height - 6, class_="name mid"))
    return tag("g", *parts, class_="axes")


def _diagonal(sheet: Sheet) -> Markup:
    start, end = sheet.spot(sheet.x.low, sheet.x.low), sheet.spot(sheet.x.high, sheet.x.high)
    return _rule(*start, *end, "diagonal")


def _line(chosen: Drawn, sheet: Sheet, index: int) -> Markup:
    own = sorted(_of_series(chosen, index), key=lambda p: p.x)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (sheet.spot(p.x, p.y) for p in own))
    return tag("polyline", points=path, class_=f"s{index % SHAPES}")


def _series(plot: Plot, chosen: Drawn, sheet: Sheet, index: int, size: Size) -> Markup:
    own = [p for p in _of_series(chosen, index) if not p.chosen]
    marks = [_point(plot, p, chosen, sheet, index, size) for p in own]
    return tag("g", *marks, class_=f"s{index % SHAPES}")


def _point(plot: Plot, point: Point, chosen: Drawn, sheet: Sheet, index: int, size: Size) -> Markup:
    x, y = sheet.spot(point.x, point.y)
    tips = [tag("title", tip(plot, point))] if size.tips else []
    named = point.label or len(chosen.points) <= _MOST_WHISKERS
    whisker = [_whisker_line(point, sheet)] if named else []
    return join([*whisker, _shape(index, x, y, *tips, named=bool(named))])


def _chosen(plot: Plot, point: Point, chosen: Drawn, sheet: Sheet, size: Size) -> Markup:
    x, y = sheet.spot(point.x, point.y)
    ring = tag("circle", cx=x, cy=y, r=2 * _RADIUS + 1, class_="ring")
    index = chosen.series.index(point.series)
    tips = [tag("title", f"Chosen. {tip(plot, point)}")] if size.tips else []
    shape = _shape(index, x, y, *tips, named=True)
    return tag("g", _whisker_line(point, sheet), ring, shape, class_="chosen")


def _shape(index: int, x: float, y: float, *tips: Markup, named: bool = True) -> Markup:
    """Draw the mark of a series: a shape of its own, so that colour is never alone."""
    r = _RADIUS if named else _RADIUS * 0.75
    if index % SHAPES == 0:
        return tag("circle", *tips, cx=x, cy=y, r=r)
    corners = _CORNERS[index % SHAPES]
    path = " ".join(f"{x + 1.2 * r * dx:.1f},{y + 1.2 * r * dy:.1f}" for dx, dy in corners)
    return tag("polygon", *tips, points=path)


_CORNERS = (
    (),
    ((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)),
    ((0, -1.1), (1, 0.8), (-1, 0.8)),
    ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    ((0, 1.1), (1, -0.8), (-1, -0.8)),
    tuple(
        (r * math.sin(math.pi * k / 5), -r * math.cos(math.pi * k / 5))
        for k, r in enumerate((1.3, 0.55) * 5)
    ),
)


def _whisker(point: Point) -> tuple[float | None, float | None]:
    """Return the interval of a point; an end that cannot be drawn is left open at the point."""
    low = point.y_low if drawable(point.y_low) else None
    high = point.y_high if drawable(point.y_high) else None
    return low, high


def _whisker_line(point: Point, sheet: Sheet) -> Markup:
    low, high = _whisker(point)
    if low is None and high is None:
        return Markup()
    x, bottom = sheet.spot(point.x, point.y if low is None else low)
    top = sheet.spot(point.x, point.y if high is None else high)[1]
    caps = [f"M{x - 3:.1f},{end:.1f}h6" for end in (bottom, top)]
    return tag("path", d=f"M{x:.1f},{bottom:.1f}V{top:.1f}{''.join(caps)}", class_="whisker")


def _labels(plot: Plot, chosen: Drawn, sheet: Sheet, size: Size) -> Markup:
    named = [p for p in chosen.points if p.label]
    spots = {id(p): sheet.spot(p.x, p.y) for p in chosen.points}
    wanted = [(one_line(p.label), *spots[id(p)], p.chosen) for p in named]
    hard = [_around(*spots[id(p)], 2.2 if p.chosen else 1.2) for p in named]
    soft = [_around(*spots[id(p)], 1.0) for p in chosen.points if not p.label]
    soft += [_whisker_box(p, sheet) for p in named if any(_whisker(p))]
    soft += _on_lines(plot, chosen, sheet)
    frame = sheet.frame
    room = Box(frame.left + 2, frame.top - 12, float(size.width) - 2, frame.bottom - 2)
    return tag("g", *map(_label, place(wanted, hard, soft, room)), class_="names")


def _label(label: Label) -> Markup:
    box = label.box
    leader = []
    if label.led:
        end_x = min(max(label.x, box.left), box.right)
        end_y = box.top if box.top > label.y else box.bottom
        leader = [_rule(label.x, label.y, end_x, end_y, "leader")]
    before = box.right <= label.x
    return join([
        *leader,
        tag(
            "text",
            label.text,
            x=box.right if before else box.left,
            y=box.bottom - HEIGHT / 4,
            class_=" ".join(["end"] * before + ["picked"] * label.chosen) or None,
        ),
    ])  # fmt: skip


def _on_lines(plot: Plot, chosen: Drawn, sheet: Sheet) -> list[Box]:
    """Return small boxes along the diagonal and the lines, which names better do not cover."""
    ends = [(sheet.x.low, sheet.x.low), (sheet.x.high, sheet.x.high)]
    lines = [[sheet.spot(*end) for end in ends]] if plot.diagonal else []
    if plot.joined:
        own = [sorted(_of_series(chosen, i), key=lambda p: p.x) for i in range(len(chosen.series))]
        lines += [[sheet.spot(p.x, p.y) for p in points] for points in own]
    pairs = [pair for line in lines for pair in pairwise(line)]
    steps = [k / 40 for k in range(41)]
    return [
        _around(x1 + (x2 - x1) * step, y1 + (y2 - y1) * step, 0.5)
        for (x1, y1), (x2, y2) in pairs[:_MOST_WHISKERS]
        for step in steps
    ]


def _around(x: float, y: float, scale: float) -> Box:
    r = _RADIUS * scale
    return Box(x - r, y - r, x + r, y + r)


def _whisker_box(point: Point, sheet: Sheet) -> Box:
    low, high = _whisker(point)
    x, bottom = sheet.spot(point.x, point.y if low is None else low)
    return Box(x - 3, sheet.spot(point.x, point.y if high is None else high)[1], x + 3, bottom)


def _of_series(chosen: Drawn, index: int) -> list[Point]:
    return [p for p in chosen.points if p.series == chosen.series[index]]


def _rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)
