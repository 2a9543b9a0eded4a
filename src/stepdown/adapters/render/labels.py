"""Where the names of points go on a plot, so that none covers another."""

from collections.abc import Sequence

from msgspec import Struct

_WIDTH = 6.4  # pixels a letter takes at the plot's text size, on the generous side
HEIGHT = 15.0
_LONGEST = 34
_MOST_COVERED = 6  # marks under one name; more and neither can be read


class Box(Struct, frozen=True):
    """A rectangle in pixels: left, top, right, bottom."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Say whether two boxes overlap."""
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.bottom <= other.top or other.bottom <= self.top)

    def holds(self, other: "Box") -> bool:
        """Say whether `other` lies inside."""
        across = self.left <= other.left and other.right <= self.right
        return across and self.top <= other.top and other.bottom <= self.bottom


class Label(Struct, frozen=True):
    """A name beside its point: the text, its box, and the point it belongs to."""

    text: str
    box: Box
    x: float
    y: float
    chosen: bool = False

    @property
    def led(self) -> bool:
        """Whether the name stands so far off that it needs a line to its point."""
        beside = max(self.box.left - self.x, self.x - self.box.right)
        over = max(self.box.top - self.y, self.y - self.box.bottom)
        return max(beside, over) > 1.5 * HEIGHT


def text_width(text: str) -> float:
    """Return about how many pixels a text takes on a plot."""
    return _WIDTH * len(text)


def short(text: str) -> str:
    """Return a name short enough to stand on a plot, ended at a word with an ellipsis."""
    if len(text) <= _LONGEST:
        return text
    head = text[: _LONGEST - 1]
    return (head.rsplit(" ", 1)[0] if " " in head else head) + "…"


def place(
    wanted: Sequence[tuple[str, float, float, bool]],
    marks: Sequence[Box],
    soft: Sequence[Box],
    frame: Box,
) -> list[Label]:
    """Set as many names as fit without covering each other or a mark, in the order given.

    `wanted` is (text, x, y, chosen); `marks` must not be covered, `soft` better not. Each name
    takes the spot that covers the fewest soft marks, nearer spots first; a name with no good
    spot is left out (its point keeps its tooltip), unless it is the chosen one's.
    """
    taken: list[Label] = []
    for text, x, y, chosen in wanted:
        spots = [box for box in _spots(short(text), x, y) if frame.holds(box)]
        names = [_spaced(label.box) for label in taken]
        walls = [*marks, *names]
        free = [box for box in spots if not any(box.meets(wall) for wall in walls)]
        if chosen and not free:
            free = [box for box in spots if not any(box.meets(name) for name in names)]
        covered = [sum(box.meets(mark) for mark in soft) for box in free]
        if free and (chosen or min(covered) <= _MOST_COVERED):
            best = free[covered.index(min(covered))]
            taken.append(Label(short(text), best, x, y, chosen))
    return taken


def _spaced(box: Box) -> Box:
    """Return the box with room for a space before and after, so that two names stay two."""
    return Box(box.left - _WIDTH, box.top, box.right + _WIDTH, box.bottom)


def _spots(text: str, x: float, y: float) -> list[Box]:
    """Return boxes around a point, nearest first: right, left, above, below, then farther."""
    wide, half, near = text_width(text), HEIGHT / 2, 9.0
    spots = []
    for shift in (0.0, HEIGHT, 2 * HEIGHT, 3 * HEIGHT):
        for sign in (1, -1) if shift else (1,):
            middle = y + sign * shift
            spots += [
                Box(x + near, middle - half, x + near + wide, middle + half),
                Box(x - near - wide, middle - half, x - near, middle + half),
            ]
        for top in (y - near - HEIGHT - shift, y + near + shift):
            lefts = (x - wide / 2, x - wide, x)
            spots += [Box(left, top, left + wide, top + HEIGHT) for left in lefts]
    return spots
