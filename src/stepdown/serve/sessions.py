"""Which tier answered a conversation last: a bounded table in this process, forgotten in minutes.

It serves the provider's prompt cache, so it lives as long as that does. Each worker has its own: a
turn that reaches another worker begins where the policy begins, which is what was certified.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from stepdown.core.digest import digest

# Anthropic, "Prompt caching" (2026-11): the default lifetime of a cached prompt, renewed by use.
LIFETIME_S = 300.0
MOST = 10_000
SHORT = 16  # hexadecimal digits of a session's digest


def session_digest(project: str, session: str | None) -> str | None:
    """Return the name of a session in the books: the caller's own word for it is not kept."""
    if session is None:
        return None
    return digest(["session", project, session]).removeprefix("sha256:")[:SHORT]


class Sessions:
    """Remember the tier of the last turn for `lifetime_s`, of the `most` latest sessions."""

    def __init__(
        self,
        *,
        lifetime_s: float = LIFETIME_S,
        most: int = MOST,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifetime_s = lifetime_s
        self._most = most
        self._seconds = seconds
        self._found: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._found)

    def tier(self, task: str, session: str) -> str | None:
        """Return the tier that answered the session's last turn, None when it is not known."""
        tier, until = self._found.get((task, session), ("", 0.0))
        if until > self._seconds():
            return tier
        self._found.pop((task, session), None)
        return None

    def remember(self, task: str, session: str, tier: str) -> None:
        """Note who answered this turn."""
        if self._lifetime_s <= 0:
            return
        self._found[task, session] = (tier, self._seconds() + self._lifetime_s)
        self._found.move_to_end((task, session))
        while len(self._found) > self._most:
            self._found.popitem(last=False)
