"""What a training set is made of, for people to read before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Refused(Struct, frozen=True):
    """Rows that were not taken for one reason, with one of them as an example."""

    reason: str
    n: int
    example: str = ""


class DataCard(Struct, frozen=True, kw_only=True):
    """Counts of a training set.

    `sources` say whose word the answers are (`set`, `feedback`, `ceiling`), `by_label` counts the
    rows of each label (empty where answers are no labels). `duplicates` were removed because they
    say almost the same as a row that was kept. `overlap` counts rows that an eval or a certificate
    uses too, which must be 0. `store` is what the task keeps of its traffic. `masked` counts the
    texts in which personal data were hidden, None where nobody asked for that. `read_in_part`
    counts texts of which the recipe reads the beginning only.
    """

    task: str
    n: int
    n_validation: int
    groups: int
    sources: Mapping[str, int]
    by_label: Mapping[str, int]
    duplicates: int
    refused: tuple[Refused, ...]
    overlap: int
    escalated: int
    store: str
    digest: str
    masked: int | None = None
    notes: tuple[str, ...] = ()
