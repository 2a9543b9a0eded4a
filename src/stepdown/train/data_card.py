"""What a training set is made of, for people to read before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Refused(Struct, frozen=True):
    """Rows that were not taken for one reason, with one of them as an example."""

    reason: str
    n: int
    example: str = ""


class Suspect(Struct, frozen=True):
    """A row whose label a model that did not see it disagrees with, confidently."""

    id: str
    label: str
    model_says: str
    text: str


class Noise(Struct, frozen=True, kw_only=True):
    """Rows whose label a cross-validated model disagrees with, of `n` rows.

    `disagree` counts all disagreements, `suspects` the confident ones, of which `examples` are the
    most confident. `dropped` says whether they were left out; `gain` is the measured gain of that
    in validation score with its 95% interval, None where nobody asked.
    """

    n: int
    disagree: int
    suspects: tuple[str, ...]
    examples: tuple[Suspect, ...]
    model: str
    dropped: bool = False
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None

    @property
    def share(self) -> float:
        """Suspects as a share of the rows."""
        return len(self.suspects) / self.n if self.n else 0.0


class DataCard(Struct, frozen=True, kw_only=True):
    """Counts of a training set.

    `sources` say whose word the answers are (`set`, `feedback`, `ceiling`), `by_label` counts the
    rows of each label (empty where answers are no labels). `duplicates` were removed because they
    say almost the same as a row that was kept. `overlap` counts rows that an eval or a certificate
    uses too, which must be 0. `store` is what the task keeps of its traffic. `masked` counts the
    texts in which personal data were hidden, None where nobody asked for that. `requests` is how
    many requests of the task the ledger holds.
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
    requests: int = 0
    masked: int | None = None
    noise: Noise | None = None
    notes: tuple[str, ...] = ()
