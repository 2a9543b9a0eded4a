"""How a span is written as a value: lines joined, spaces after commas, marks at the end dropped.

The way is chosen per field by the training rows. It only respells: no letter or digit changes but
for case.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Literal

from msgspec import Struct

_BREAK = re.compile(r"\s*\n\s*")
_COMMA = re.compile(r"\s*(?:(?<!\d),|,(?!\d))\s*(?=\S)")  # but 55,57
Same = Callable[[object, object], bool]


class Writing(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How the values of a field are spelled.

    `lines`: as they stand, or joined by a space, or by a comma and a space. `commas`: a space
    after a comma, none before it, but between digits. `trim`: no mark at either end.
    """

    lines: Literal["kept", "space", "comma"] = "kept"
    commas: bool = False
    trim: bool = False
    case: Literal["kept", "upper", "lower"] = "kept"

    def write(self, span: str) -> str:
        """Return the value."""
        text = span
        if self.lines == "space":
            text = _BREAK.sub(" ", text)
        elif self.lines == "comma":
            text = re.sub(r",?" + _BREAK.pattern, ", ", text)
        if self.commas:
            text = _COMMA.sub(", ", text)
        if self.trim:
            text = text.strip(" .,;:-\n")
        return _cased(text, self.case)


def _cased(text: str, case: str) -> str:
    return text.upper() if case == "upper" else text.lower() if case == "lower" else text


def ways() -> Iterator[Writing]:
    """Yield every way of writing, the plainest first."""
    cases: tuple[Literal["kept", "upper", "lower"], ...] = ("kept", "upper", "lower")
    lines: tuple[Literal["kept", "space", "comma"], ...] = ("kept", "space", "comma")
    for case, trim, commas, line in product(cases, (False, True), (False, True), lines):
        yield Writing(lines=line, commas=commas, trim=trim, case=case)


def choose_writing(pairs: Sequence[tuple[str, object]], same: Same) -> Writing:
    """Return the plainest way that makes the most spans equal to their values."""
    best, most = Writing(), -1
    for way in ways():
        right = sum(same(wanted, way.write(span)) for span, wanted in pairs)
        if right > most:
            best, most = way, right
        if right == len(pairs):
            break
    return best
