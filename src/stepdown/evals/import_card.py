"""The card of an eval set: where its rows come from, what was left out, what the references are.

It stands beside the set (`NAME.card.json`), so that a report on the set can say so too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

FORMAT = "stepdown-eval-set/1"
ReferenceIs = Literal["gold", "ceiling"]


class SourceCard(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One source: its name and digest, how it was read, how many rows it held."""

    name: str
    digest: str
    read_as: str
    rows: int
    other_steps: Mapping[str, int] = {}


class Drawn(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sample: how many of how many, by which strata (None: one), in which order."""

    wanted: int
    of: int
    by: str | None
    seed: int


class Compared(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the rows were compared: `near_among` of them text by text, the rest for equality."""

    mode: str
    near_among: int
    training_rows: int
    leaks: int = 0
    leaks_allowed: bool = False
    unknown_training: tuple[str, ...] = ()


class Card(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything about an eval set but its rows. `digest` is that of the file.

    `reference_is` is `ceiling` where the right answers are what a model said in a log;
    `reference_models` then counts who said it.
    """

    format: str = FORMAT
    task: str | None = None
    date: str
    n: int
    digest: str
    reference_is: ReferenceIs
    reference_models: Mapping[str, int] = {}
    sources: tuple[SourceCard, ...]
    columns: Mapping[str, str]
    refused: Mapping[str, int] = {}
    not_drawn: int = 0
    labels: Mapping[str, int] = {}
    compared: Compared
    drawn: Drawn | None = None
