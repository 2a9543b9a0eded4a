"""What a server takes from its callers, and for how long it waits for them."""

from __future__ import annotations

from msgspec import Struct

KB = 1024


class ServerLimits(Struct, frozen=True, kw_only=True):
    """Limits of one server process; times are kept to the second.

    Args:
        head_bytes: request line and headers together; the servers of today take 8 to 64 KB.
        headers: header lines of one request.
        head_s: from the first byte of a request to the end of its headers.
        body_s: from the end of the headers to the end of the body.
        idle_s: how long a connection is kept before and between requests. Longer than the 60 s
            after which load balancers drop theirs, so that they and not we close first.
        stalled_s: how long a caller may take nothing of an answer that is ready for it.
        linger_s: how long the rest of a refused body is read and thrown away, so that the caller
            sees the refusal and not a reset connection.
        held_bytes: what is held of a body that nobody reads yet, and of an answer that the caller
            does not take.
        pipelined: requests of one connection that wait for the one before them.
        connections: open connections; the next one is told to come again.
    """

    head_bytes: int = 32 * KB
    headers: int = 100
    head_s: float = 10.0
    body_s: float = 120.0
    idle_s: float = 75.0
    stalled_s: float = 60.0
    linger_s: float = 5.0
    held_bytes: int = 64 * KB
    pipelined: int = 16
    connections: int = 50_000
