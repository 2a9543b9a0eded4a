"""Who reads a step's answers and what hangs on them, by rule or by words of its name and prompt.

A name is a hint and not knowledge: a project says which steps these are under [audit], and then no
name is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from msgspec import Struct

from stepdown.audit.rules import Rules

# Parts of names of steps, and words of prompts, that tell it.
READ_BY_CUSTOMERS = (
    "reply", "respond", "draft", "polish", "email", "e-mail", "chat", "customer", "newsletter",
    "outreach", "greeting",
)  # fmt: skip
AT_STAKE = (
    "legal", "medical", "clinical", "diagnos", "fraud", "complian", "safety", "moderat", "credit",
    "underwrit", "kyc", "aml", "gdpr", "payment", "payout", "contract_review", "self-harm",
)  # fmt: skip
_TO_CUSTOMERS = re.compile(
    r"\b(?:to|for) (?:the|a|our|your) (?:customer|client|user|patient|buyer|guest)s?\b"
    r"|\b(?:customer|client|user)-facing\b",
    re.IGNORECASE,
)
_GRAVE = re.compile(
    r"\b(?:legal advice|medical advice|diagnos(?:is|e)|compliance|lawsuit|self-harm|suicid\w+"
    r"|fraud(?:ulent)?|money laundering|sanctions? list|adverse event)\b",
    re.IGNORECASE,
)
_PROMPT_CHARS = 20_000


class Stakes(Struct, frozen=True):
    """Why customers read a step's answers, and why much hangs on them; None: nothing says so."""

    customer_facing: str | None = None
    high: str | None = None

    @property
    def evidence(self) -> tuple[str, ...]:
        """Both in words."""
        told = (("customers read it", self.customer_facing), ("much hangs on it", self.high))
        return tuple(f"{what}: {why}" for what, why in told if why is not None)


def stakes_of(name: str, prompts: Iterable[str], rules: Rules) -> Stakes:
    """Return what a step's name, some of its system prompts, and the project's rules tell."""
    said = "\n".join(sorted({prompt[:_PROMPT_CHARS] for prompt in prompts}))
    return Stakes(
        customer_facing=_why(name, said, rules.customer_facing, READ_BY_CUSTOMERS, _TO_CUSTOMERS),
        high=_why(name, said, rules.high_stakes, AT_STAKE, _GRAVE),
    )


def _why(
    name: str,
    said: str,
    ruled: tuple[str, ...] | None,
    parts: tuple[str, ...],
    words: re.Pattern[str],
) -> str | None:
    if ruled is not None:
        rule = next((rule for rule in ruled if fnmatchcase(name, rule)), None)
        return None if rule is None else f"[audit] says so ({rule})"
    low = name.lower()
    part = next((part for part in parts if part in low), None)
    if part is not None:
        return f"its name says {part!r}"
    found = words.search(said)
    return None if found is None else f"its prompt says {' '.join(found[0].split())!r}"
