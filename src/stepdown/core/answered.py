"""One answer of a tier beside its sample, as people look at it: what was asked, said and scored."""

from __future__ import annotations

from msgspec import Struct


class Answered(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer with its reference. None is unknown: no answer, no score, no measured time.

    `sample` is the digest of the sample, by which two runs are joined; `reference` is text (JSON
    where it is structured). `score` is 0..1. `reused` says that an earlier run had the answer, so
    that its latency was measured then.
    """

    id: str
    sample: str
    tier: str
    input: str
    reference: str | None = None
    answer: str | None = None
    score: float | None = None
    failure: str | None = None
    detail: str = ""
    label: str | None = None
    group: str | None = None
    segment: str | None = None
    before: str = ""
    images: int = 0
    repeat: int = 0
    latency_s: float | None = None
    cost_usd: float | None = None
    reused: bool = False

    @property
    def right(self) -> bool | None:
        """Whether it has the full score; None where nobody scored it."""
        return None if self.score is None else self.score >= 1.0
