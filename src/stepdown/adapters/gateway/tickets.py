"""What a browser holds in place of the key: a ticket made from it, which it cannot be told from.

A ticket is its end (seconds since 1970), a random part and their authentication code; any worker
with the same key can check it. A form carries a second code, made from the ticket.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from functools import cached_property
from hashlib import pbkdf2_hmac

LIFETIME_S = 12 * 3600
_ROUNDS = 200_000  # so that a ticket is a poor means to guess a weak key; taken once a process
_SALT = b"stepdown dashboard ticket 1"


class Tickets:
    """Make and check tickets of a key. `clock` is the wall clock in seconds since 1970."""

    def __init__(self, key: bytes, clock: Callable[[], float]) -> None:
        self._key = key
        self._clock = clock

    @cached_property
    def _secret(self) -> bytes:
        return pbkdf2_hmac("sha256", self._key, _SALT, _ROUNDS)

    def issue(self, offered: str) -> str | None:
        """Return a new ticket to whoever offers the key, None to anybody else."""
        if not hmac.compare_digest(offered.encode(), self._key):
            return None
        named = f"{int(self._clock()) + LIFETIME_S}.{secrets.token_urlsafe(16)}"
        return f"{named}.{self._code('ticket', named)}"

    def holds(self, ticket: str) -> bool:
        """Return whether a ticket is one of this key, and not over."""
        named, _, code = ticket.rpartition(".")
        if not hmac.compare_digest(code.encode(), self._code("ticket", named).encode()):
            return False
        end = named.partition(".")[0]
        return end.isdecimal() and int(end) > self._clock()

    def form_token(self, ticket: str) -> str:
        """Return what every form of the ticket's holder must carry."""
        return self._code("form", ticket)

    def form_is_ours(self, ticket: str, token: str) -> bool:
        """Return whether a form was made for the holder of this ticket."""
        return hmac.compare_digest(token.encode(), self.form_token(ticket).encode())

    def _code(self, kind: str, text: str) -> str:
        return hmac.new(self._secret, f"{kind}:{text}".encode(), "sha256").hexdigest()
