"""The unnamed calls that steps are learnt from: a sample of bounded size, in any order the same."""

from __future__ import annotations

from collections.abc import Iterable

from stepdown.audit.cluster import Seen
from stepdown.audit.sketch import Sample

_LEAST = 200


class Learning:
    """A sample of calls, and another one of whole sessions, which tells what stands together.

    A session is followed in at most `_OF_SESSION` calls, so that one that never ends is no log.
    """

    def __init__(self, keep: int) -> None:
        self.calls: Sample[Seen] = Sample(keep, _MOST_WORDS, _LEAST)
        self.n = 0

    def wants(self, key: int) -> bool:
        """Tell whether a call with this digest would be kept."""
        return self.calls.wants(key)

    def add(self, key: int, seen: Seen) -> None:
        """Keep a call if its digest is among the smallest."""
        self.calls.add(key, seen, len(seen.form.system) + len(seen.form.user))

    def merge(self, other: Learning) -> None:
        """Learn from what the other kept too."""
        self.n += other.n
        self.calls.merge(other.calls)

    def seen(self) -> Iterable[Seen]:
        """Return the calls that were kept."""
        return self.calls.items()


_MOST_WORDS = 2_000_000
