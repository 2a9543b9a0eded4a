"""Which columns a terminal can show, and how wide: numbers are never cut, words may wrap."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from stepdown.adapters.render.figures import figure, interval, sample_size
from stepdown.adapters.render.printable import one_line
from stepdown.core.report import Cell, Column

GAP = 2
NOTHING = "–"
_WORD = 24  # a longer word in a text column is broken over lines
_COMFORT = 20

Measure = Callable[[str], int]


class Piece(Struct, frozen=True):
    """A cell taken apart: parts of a figure that stay whole, and words that may wrap."""

    parts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


class Layout(Struct, frozen=True):
    """Column numbers that are shown, their widths, and how many parts stay on the first line."""

    shown: tuple[int, ...]
    widths: tuple[int, ...]
    parts: int


def piece(cell: Cell, *, with_n: bool) -> Piece:
    """Take a cell apart: figure, interval and n stay whole; notes and texts are words."""
    if cell is None:
        return Piece(words=(NOTHING,))
    if isinstance(cell, str):
        return Piece(words=tuple(one_line(cell).split()))
    size = sample_size(cell) if with_n else ""
    return Piece((figure(cell), interval(cell), size), tuple(one_line(cell.note).split()))


def fit(
    columns: Sequence[Column], grid: Sequence[Sequence[Piece]], width: int, measure: Measure
) -> Layout | None:
    """Drop optional columns from the right until the rest fits `width`; None when it cannot.

    Before a column is dropped, sample sizes move to a second line; before giving up, intervals do.
    """
    shown = tuple(range(len(columns)))
    optional = [number for number in shown if columns[number].optional]
    while True:
        for parts in (3, 2) if optional else (3, 2, 1):
            layout = _layout(columns, grid, shown, parts, width, measure)
            if layout is not None:
                return layout
        if not optional:
            return None
        dropped = optional.pop()
        shown = tuple(number for number in shown if number != dropped)


def aligned(pieces: Sequence[Piece], parts: int, measure: Measure) -> list[str]:
    """Write the first line of a numeric column: figures to the right, intervals in step."""
    sizes = [max((measure(p.parts[i]) for p in pieces if p.parts), default=0) for i in range(parts)]
    return [_first_line(p.parts[:parts], sizes, measure) for p in pieces]


def wrap(words: Sequence[str], width: int, measure: Measure) -> list[str]:
    """Set words on lines of at most `width` cells; break a word only when it is longer."""
    lines: list[str] = []
    for word in (part for whole in words for part in _broken(whole, width, measure)):
        if lines and measure(lines[-1]) + 1 + measure(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _layout(
    columns: Sequence[Column],
    grid: Sequence[Sequence[Piece]],
    shown: tuple[int, ...],
    parts: int,
    width: int,
    measure: Measure,
) -> Layout | None:
    room = width - GAP * (len(shown) - 1)
    stacks = [[row[number] for row in grid] for number in shown]
    heads = [columns[number].title for number in shown]
    least = [_least(h, s, parts, measure) for h, s in zip(heads, stacks, strict=True)]
    if sum(least) > room:
        return None
    full = [_full(h, s, parts, measure) for h, s in zip(heads, stacks, strict=True)]
    return Layout(shown, tuple(_grow(least, full, room)), parts)


def _least(title: str, stack: Sequence[Piece], parts: int, measure: Measure) -> int:
    """Return the smallest width at which nothing but long texts wraps."""
    words = [w for p in stack for w in p.words] + one_line(title).split()
    longest = min(_WORD, max(map(measure, words), default=1))
    lines = aligned(stack, parts, measure)
    rest = [measure(part) for p in stack for part in p.parts[parts:]]
    comfort = max((min(_COMFORT, _natural(p, measure)) for p in stack if not p.parts), default=0)
    comfort = comfort if parts > 1 else 0
    return max(longest, comfort, *map(measure, lines), *rest, 1)


def _full(title: str, stack: Sequence[Piece], parts: int, measure: Measure) -> int:
    lines = aligned(stack, parts, measure)
    notes = [_natural(p, measure) for p in stack]
    sums = [measure(a) + (b + 1 if b and a else b) for a, b in zip(lines, notes, strict=True)]
    return max(measure(one_line(title)), *sums, _least(title, stack, parts, measure))


def _natural(piece_: Piece, measure: Measure) -> int:
    return measure(" ".join(piece_.words))


def _grow(least: list[int], full: list[int], room: int) -> list[int]:
    """Hand out the room that is left, one cell at a time to the column that lacks most."""
    widths = list(least)
    for _ in range(room - sum(least)):
        lack, number = max((f - w, -i) for i, (f, w) in enumerate(zip(full, widths, strict=True)))
        if lack <= 0:
            break
        widths[-number] += 1
    return widths


def _first_line(parts: Sequence[str], sizes: Sequence[int], measure: Measure) -> str:
    if not parts:
        return ""
    padded = [" " * (sizes[0] - measure(parts[0])) + parts[0]]
    for part, size in zip(parts[1:], sizes[1:], strict=True):
        padded += [part + " " * (size - measure(part))] if size else []
    return " ".join(padded)


def _broken(word: str, width: int, measure: Measure) -> list[str]:
    pieces = [""]
    for letter in word:
        if pieces[-1] and measure(pieces[-1] + letter) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces
