"""Tables and plots as values: a stage says what is true, `render` decides how it looks.

Every figure is a claim: value, unit, interval, n, source. Unknown stays None and is shown as such.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Unit = Literal["", "usd", "s", "share", "score", "count", "tokens"]


class Claim(Struct, frozen=True, omit_defaults=True):
    """A figure: `low` and `high` bound it at `level` (fraction); `note` is shown beside it.

    Units: usd (dollars), s (seconds), share and score (0..1), count, tokens.
    """

    value: float | None
    unit: Unit = ""
    low: float | None = None
    high: float | None = None
    level: float | None = None
    n: int | None = None
    source: str = ""
    note: str = ""


Cell = str | Claim | None


class Column(Struct, frozen=True, omit_defaults=True):
    """A column: its heading, and whether it may be dropped on a narrow terminal."""

    title: str
    numeric: bool = False
    optional: bool = False


class Table(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="table"):
    """A table with notes under it; a note that starts with `recorded:` is set apart."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    total: tuple[Cell, ...] | None = None


class Point(Struct, frozen=True, omit_defaults=True):
    """A point of a plot with an optional vertical interval; `chosen` marks the selected one."""

    x: float
    y: float
    y_low: float | None = None
    y_high: float | None = None
    label: str = ""
    chosen: bool = False
    series: str = ""


class Plot(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="plot"):
    """A scatter (`joined=False`) or line plot. `diagonal` draws y = x (perfect calibration).

    `from_zero` lets the y axis begin at 0, for amounts that must not look more unequal than they
    are.
    """

    title: str
    x_label: str
    y_label: str
    points: tuple[Point, ...]
    x_unit: Unit = ""
    y_unit: Unit = ""
    joined: bool = False
    diagonal: bool = False
    x_log: bool = False
    from_zero: bool = False
    notes: tuple[str, ...] = ()


class Bar(Struct, frozen=True):
    """A horizontal bar from `start` to `end`; up to `far`, a range's other end, it is lighter.

    An `end` before the `start` is a step down, as in a waterfall. `total` sets the bar apart;
    `text` stands beside it in place of its length.
    """

    label: str
    end: float
    far: float
    start: float = 0.0
    total: bool = False
    text: str = ""

    @classmethod
    def of(cls, label: str, value: float, *, total: bool = False, text: str = "") -> Bar:
        """Return a bar of one value."""
        return cls(label, value, value, total=total, text=text)


class Bars(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="bars"):
    """Bars under each other on one scale that begins at 0."""

    title: str
    bars: tuple[Bar, ...]
    unit: Unit = ""
    notes: tuple[str, ...] = ()


class Prose(Struct, frozen=True, tag="prose"):
    """A short paragraph; `tone` is `plain`, `good`, `bad` or `warn`."""

    text: str
    tone: Literal["plain", "good", "bad", "warn"] = "plain"


Block = Table | Plot | Bars | Prose


class Section(Struct, frozen=True, omit_defaults=True):
    """A titled run of blocks."""

    title: str
    blocks: tuple[Block, ...]


class Document(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole report. `facts` are short label-value pairs shown at the top."""

    title: str
    subtitle: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    sections: tuple[Section, ...] = ()
    footer: str = ""
