"""How a tier may be used: waits, calls at once, its queue, retries, when it is left alone.

None of it changes an answer, so none of it is in a digest.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

# What may wait or be zero, and what must be above 0.
_POSITIVE = ("connect_s", "first_byte_s", "idle_s", "concurrency", "breaker_failures", "breaker_s")
_NOT_NEGATIVE = ("queue", "retries")


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one tier; the longest wait for a whole call is the tier's `timeout_s`.

    Args:
        connect_s: longest wait for a connection. A host that is up answers within a second.
        first_byte_s: longest wait for the answer to begin; None: as long as the call may take. An
            answer that is not streamed begins when it is complete.
        idle_s: longest silence within an answer that has begun; None: as `first_byte_s`.
        concurrency: calls at the same time; None: as many as the wire has connections, one for a
            model in this process.
        queue: calls that wait for their turn; one more is refused at once. None: as many as may
            run, 64 for a model in this process.
        retries: further tries after 429, 5xx, or a connection that broke before the first byte.
        breaker_failures: failures in a row after which the tier is left alone.
        breaker_s: how long it is left alone before one call tries it again.
    """

    connect_s: float = 10.0
    first_byte_s: float | None = None
    idle_s: float | None = None
    concurrency: int | None = None
    queue: int | None = None
    retries: int = 2
    breaker_failures: int = 5
    breaker_s: float = 10.0

    def __post_init__(self) -> None:
        """Refuse limits under which nothing runs."""
        for name in _POSITIVE:
            self._refuse(name, getattr(self, name), "above 0", lambda value: value > 0)
        for name in _NOT_NEGATIVE:
            self._refuse(name, getattr(self, name), "0 or more", lambda value: value >= 0)

    def _refuse(self, name: str, value: Any, allowed: str, is_good: Any) -> None:
        if value is not None and not is_good(value):
            raise ValueError(f"{name} must be {allowed}, got {value}")
