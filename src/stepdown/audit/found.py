"""A step that was found among calls that nobody named: what tells its calls from others."""

from __future__ import annotations

from msgspec import Struct


class Found(Struct, frozen=True):
    """One step that was found: a digest of its template that the next log will share.

    `always` are the shingles that all of its calls have, `template` what one of them says.
    """

    fingerprint: str
    template: str
    tools: tuple[str, ...]
    asked: str
    always: frozenset[int]
