"""The Prompter port: a request and its answer as the very tokens that the serving runtime reads.

A language model that is trained on other tokens than it is served (another template, a token at
the beginning that the runtime does not put there) learns the wrong thing without a word.
"""

from __future__ import annotations

from typing import Protocol

from stepdown.core.request import Request

Tokens = tuple[int, ...]


class Prompter(Protocol):
    """Spell requests and answers in tokens of one model."""

    @property
    def context_tokens(self) -> int:
        """Longest prompt and answer together."""
        ...

    def prompt(self, request: Request) -> Tokens:
        """Return the tokens that the runtime reads before it answers."""
        ...

    def answer(self, request: Request, text: str) -> Tokens:
        """Return the tokens of an answer, with those that end it."""
        ...

    def close(self) -> None:
        """Free what was loaded."""
        ...
