"""The label queue as a person sees it: one question, where the whole stands, what a key did."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

State = Literal["making", "asking", "done", "failed"]
Told = Literal["", "kept", "later", "undone", "nothing", "stale", "no_key"]


class Question(Struct, frozen=True, kw_only=True):
    """One question. `answers` are (key, text) in an order that tells nothing of the tiers.

    `mark` is the digest of the question: a judgement of another one is refused.
    """

    query_id: str
    text: str
    answers: tuple[tuple[str, str], ...]
    why: str
    mark: str


class Stand(Struct, frozen=True, kw_only=True):
    """Where the question of a task stands. Losses are fractions of 1; `keeps` are shares.

    `keeps` is what cheaper tiers may keep as it is certified now, `could_keep` at the most.
    """

    labelled: int
    left_at_most: int
    bound_worst: float
    limit: float
    delta: float
    decided: bool
    keeps: float
    could_keep: float
    disputed: int = 0
    pool: int = 0


class Desk(Struct, frozen=True, kw_only=True):
    """What the desk says: still `making` (with `said`), `asking`, `done`, or `failed`."""

    state: State
    said: str = ""
    question: Question | None = None
    stand: Stand | None = None


class Order(Struct, frozen=True, kw_only=True):
    """What a person at the desk does. `said` is a key: 1-9, b, 0, s, u; "" only looks.

    `query` and `mark` name the question that was shown.
    """

    by: str
    said: str = ""
    query: str = ""
    mark: str = ""


class AtDesk(Struct, frozen=True, kw_only=True):
    """What the desk shows now, and what came of the order."""

    desk: Desk
    told: Told = ""
