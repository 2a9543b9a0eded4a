"""Draw bars as SVG and as text: a row for each, a range in a lighter tone, its value beside it."""

from collections.abc import Sequence

from msgspec import Struct

from stepdown.adapters.render.axis import drawable
from stepdown.adapters.render.figures import number
from stepdown.adapters.render.labels import short, text_width
from stepdown.adapters.render.markup import Markup, tag
from stepdown.adapters.render.printable import one_line
from stepdown.core.report import Bar, Bars, Column, Table

_ROW, _THICK, _GAP = 26, 14, 8
FULL, LIGHT = "█", "░"


class Paper(Struct, frozen=True):
    """The width of the drawing in pixels, and of its widest label."""

    name: str
    width: int
    label: float


WIDE = Paper("wide", 760, 220.0)
NARROW = Paper("narrow", 350, 118.0)


class Scale(Struct, frozen=True):
    """The largest value, and the places of 0 and of it."""

    most: float
    left: float
    right: float

    def at(self, value: float) -> float:
        """Return the place of a value."""
        return self.left + min(max(value / self.most, 0.0), 1.0) * (self.right - self.left)


def drawn(bars: Bars) -> tuple[Bar, ...]:
    """Return the bars that can be drawn: their values are known."""
    return tuple(bar for bar in bars.bars if all(map(drawable, (bar.start, bar.end, bar.far))))


def value_text(bar: Bar, bars: Bars) -> str:
    """Return what a bar says beside it."""
    if bar.text:
        return bar.text
    if bar.far == bar.end:
        return number(bar.end - bar.start, bars.unit)
    ends = sorted((abs(bar.end - bar.start), abs(bar.far - bar.start)))
    return f"{number(ends[0], bars.unit)} to {number(ends[1], bars.unit)}"


def svg(bars: Bars, paper: Paper, key: str) -> Markup:
    """Return one SVG of the bars; `key` makes its ids unique on the page."""
    shown = drawn(bars)
    scale = _scale(shown, bars, paper)
    height = _ROW * len(shown) + 4
    rows = [_row(bar, bars, place, scale, paper) for place, bar in enumerate(shown)]
    base = tag("line", x1=scale.left, y1=0, x2=scale.left, y2=height, class_="base")
    ids = f"{key}-{paper.name}"
    head = tag("title", bars.title, id=f"{ids}-t") + tag("desc", summary(bars), id=f"{ids}-d")
    return tag(
        "svg",
        Markup(head),
        base,
        *rows,
        class_=f"{paper.name} bars",
        role="img",
        viewBox=f"0 0 {paper.width} {height}",
        aria_labelledby=f"{ids}-t",
        aria_describedby=f"{ids}-d",
    )


def summary(bars: Bars) -> str:
    """Return in words what is drawn."""
    told = "; ".join(f"{bar.label}: {value_text(bar, bars)}" for bar in drawn(bars))
    return f"{len(drawn(bars))} bars. {told}."


def listing(bars: Bars) -> Table:
    """Return the bars as a table, for readers who cannot see them."""
    rows = tuple((bar.label, value_text(bar, bars)) for bar in bars.bars)
    columns = (Column("Bar"), Column("Value", numeric=True))
    return Table(title=bars.title, columns=columns, rows=rows)


def text_rows(bars: Bars, width: int) -> list[str]:
    """Return the bars as lines of text of at most `width` cells."""
    shown = drawn(bars)
    labels = [one_line(bar.label) for bar in shown]
    values = [value_text(bar, bars) for bar in shown]
    wide = min(max(map(len, labels), default=0), max(8, width // 3))
    room = width - wide - max(map(len, values), default=0) - 4
    if room < 6:
        return [f"{label}: {value}" for label, value in zip(labels, values, strict=True)]
    scale = Scale(_most(shown), 0.0, float(room))
    return [
        f"{_fitted(label, wide)}  {_text_bar(bar, scale, room)}  {value}".rstrip()
        for bar, label, value in zip(shown, labels, values, strict=True)
    ]


def _text_bar(bar: Bar, scale: Scale, room: int) -> str:
    cells = [" "] * room
    low, high = sorted((scale.at(bar.start), scale.at(bar.end)))
    sure = range(int(low + 0.5), max(int(high + 0.5), int(low + 0.5) + 1))
    ends = sorted((scale.at(bar.start), scale.at(bar.far)))
    for cell in range(int(ends[0] + 0.5), int(ends[1] + 0.5)):
        cells[min(cell, room - 1)] = LIGHT
    for cell in sure if bar.end != bar.start else ():
        cells[min(cell, room - 1)] = FULL
    return "".join(cells)


def _fitted(label: str, wide: int) -> str:
    return (label if len(label) <= wide else label[: wide - 1] + "…").ljust(wide)


def _most(shown: Sequence[Bar]) -> float:
    return max((max(bar.start, bar.end, bar.far) for bar in shown), default=0.0) or 1.0


def _scale(shown: Sequence[Bar], bars: Bars, paper: Paper) -> Scale:
    label = min(max((text_width(short(bar.label)) for bar in shown), default=0.0), paper.label)
    said = max((text_width(value_text(bar, bars)) for bar in shown), default=0.0)
    return Scale(_most(shown), label + _GAP, max(paper.width - said - 2 * _GAP, label + 60))


def _row(bar: Bar, bars: Bars, place: int, scale: Scale, paper: Paper) -> Markup:
    top = _ROW * place + (_ROW - _THICK) / 2
    middle = top + _THICK - 3
    falls = min(bar.end, bar.far) < bar.start
    tone = "total" if bar.total else "saved" if falls else "spent"
    parts = [
        tag("text", _label(bar.label, scale), x=scale.left - _GAP, y=middle, class_="end name"),
        _rectangle(bar.start, bar.far, top, scale, f"{tone} light"),
        _rectangle(bar.start, bar.end, top, scale, tone),
    ]
    right = max(scale.at(value) for value in (bar.start, bar.end, bar.far))
    parts.append(tag("text", value_text(bar, bars), x=right + _GAP, y=middle))
    return tag("g", tag("title", f"{bar.label}: {value_text(bar, bars)}"), *parts)


def _label(text: str, scale: Scale) -> str:
    said = short(text)
    most = int((scale.left - _GAP) / text_width("x"))
    return said if len(said) <= most else said[: max(1, most - 1)] + "…"


def _rectangle(start: float, end: float, top: float, scale: Scale, tone: str) -> Markup:
    left, right = sorted((scale.at(start), scale.at(end)))
    if start == end:
        return Markup()
    return tag("rect", x=left, y=top, width=max(1.0, right - left), height=_THICK, class_=tone)
