"""Which ids a set has used, on which lines, without holding millions of them as text."""

from __future__ import annotations

from array import array
from hashlib import blake2b

AS_TEXT = 100_000  # ids held as they are: one that comes twice is told at once, with its name
MARK_BYTES = 16


class Ids:
    """The first ids as text, later ones as 24 bytes each."""

    def __init__(self) -> None:
        self._lines: dict[str, int] = {}
        self._marks = bytearray()
        self._at = array("Q")

    def note(self, name: str, line: int) -> int | None:
        """Note an id; return the line that had it before, None where that is not known yet."""
        if name in self._lines:
            return self._lines[name]
        if len(self._lines) < AS_TEXT:
            self._lines[name] = line
        else:
            self._marks += blake2b(name.encode(), digest_size=MARK_BYTES).digest()
            self._at.append(line)
        return None

    def twice(self) -> tuple[int, int] | None:
        """Return the first line whose id came before, and the line where; None when all differ."""
        if not self._at:
            return None
        import numpy as np

        marks = np.frombuffer(self._marks, dtype=f"S{MARK_BYTES}")
        order = np.argsort(marks, kind="stable")
        same = np.flatnonzero(marks[order][1:] == marks[order][:-1])
        if not same.size:
            return None
        at = int(same[np.argmin(order[same + 1])])
        return self._at[int(order[at + 1])], self._at[int(order[at])]
