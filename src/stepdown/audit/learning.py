"""The unnamed calls that steps are learnt from: samples of bounded size, in any order the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from msgspec.structs import replace

from stepdown.audit.cluster import Seen
from stepdown.audit.sketch import Hashes, Sample

_MOST_WORDS = 2_000_000  # of all prompts that are kept
_LEAST = 200  # calls that are kept however long their prompts are
_OF_CALL = np.uint64(0xFFFF)  # the part of a key that chooses among the calls of one session


class Learning:
    """A sample of calls, and one of sessions with all of their calls.

    Two steps that stand in the same sessions are two: only whole sessions can tell that, because
    of a session that is one in a thousand two calls are hardly ever drawn.
    """

    def __init__(self, keep: int) -> None:
        self.n = 0
        self._calls: Sample[Seen] = Sample(keep, _MOST_WORDS, _LEAST)
        self._whole: Sample[tuple[int, Seen]] = Sample(keep // 2, _MOST_WORDS // 2, _LEAST)

    def add(self, keys: Hashes, sessions: Hashes, seen: Callable[[int], Seen | None]) -> None:
        """Keep those of some calls whose digests are among the smallest.

        `seen` returns one of them by its place; a session is 0 where a call names none.
        """
        self.n += len(keys)
        of_session = (sessions & ~_OF_CALL) | (keys & _OF_CALL)
        drawn = keys <= np.uint64(self._calls.below - 1)
        drawn |= (sessions > 0) & (of_session <= np.uint64(self._whole.below - 1))
        for place in np.flatnonzero(drawn).tolist():
            one = seen(place)
            if one is None:
                continue
            key, size = int(keys[place]), len(one.form.system) + len(one.form.user)
            self._calls.add(key, replace(one, session=None), size)
            if one.session is not None:
                self._whole.add(int(of_session[place]), (key, one), size)

    def merge(self, other: Learning) -> None:
        """Learn from what the other kept too."""
        self.n += other.n
        self._calls.merge(other._calls)
        self._whole.merge(other._whole)

    def seen(self) -> list[Seen]:
        """Return the calls that were kept, in an order of their own."""
        known = dict(self._whole.items())
        alone = [one for key, one in self._calls.pairs() if key not in known]
        return [*known.values(), *alone]
