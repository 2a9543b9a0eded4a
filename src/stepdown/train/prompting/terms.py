"""What a user may say about tuning a prompt."""

from __future__ import annotations

from msgspec import Struct


class PromptTerms(Struct, frozen=True, kw_only=True):
    """What a user may say: money, and the tier that rewrites the instruction (None: none).

    `most_tokens` bounds a prompt, counted by `count`, around the input.
    """

    max_usd: float | None = None
    rewrite_by: str | None = None
    most_tokens: int = 700
