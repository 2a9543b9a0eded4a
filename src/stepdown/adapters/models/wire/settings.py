"""How a hosted model is called: limits, waits and retries. None of it changes an answer."""

from __future__ import annotations

from msgspec import Struct

MB = 1_000_000
_ABOVE_ZERO = (
    "timeout_s",
    "connect_s",
    "first_byte_s",
    "silence_s",
    "body_limit_bytes",
    "connections",
    "idle_s",
)


class WireSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one hosted model.

    Args:
        timeout_s: longest wait when the caller sets none; the vendors' own clients wait 600 s.
        connect_s: longest wait for a connection. A host that is up answers within a second.
        first_byte_s: longest wait for the answer to begin; None: as long as the call may take.
        silence_s: longest silence within an answer that has begun; None: likewise.
        retries: further tries after 429, 5xx or a connection that broke before the first byte;
            the vendors' own clients make two.
        backoff_s: the first wait between tries; it doubles, and half of it is jitter.
        longest_wait_s: longest wait between two tries. A server that asks for more (Retry-After)
            is overloaded for our purpose: the cascade does better to go on at once.
        body_limit_bytes: largest answer, decompressed. The longest answers of today (128,000
            tokens with five alternatives each) stay under it.
        connections: calls at the same time; one more waits for a free one.
        idle_s: how long an unused connection is kept. Most load balancers drop it after 60 s, and
            a call on a dropped connection costs a retry.
    """

    timeout_s: float = 600.0
    connect_s: float = 10.0
    first_byte_s: float | None = None
    silence_s: float | None = None
    retries: int = 2
    backoff_s: float = 0.5
    longest_wait_s: float = 20.0
    body_limit_bytes: int = 96 * MB
    connections: int = 100
    idle_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse settings under which nothing runs."""
        for name in _ABOVE_ZERO:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        for name in ("retries", "backoff_s", "longest_wait_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
