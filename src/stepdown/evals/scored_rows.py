"""The rows of one tier that have a score, with their samples: what the reports by kind look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from stepdown.core.outcome import Outcome
from stepdown.core.report import Claim
from stepdown.evals.dataset import Sample

LEVEL = 0.95
Pair = tuple[Sample, Outcome]


class Rows(Struct, frozen=True):
    """One tier's scored rows; an answer that failed is one of them, an unavailable tier's not."""

    tier: str
    pairs: tuple[Pair, ...]

    def share(self, hits: Sequence[bool | None], seed: int) -> Claim:
        """Return the share of hits with its interval; a row of None is not among them."""
        return self.mean([None if hit is None else float(hit) for hit in hits], seed, "share")

    def mean(
        self, values: Sequence[float | None], seed: int, unit: Literal["score", "share"] = "score"
    ) -> Claim:
        """Return the mean of values in 0..1, one a row, over the rows that have one."""
        from stepdown.stats.intervals import proportion_interval

        pairs = zip(self.names, values, strict=True)
        kept = [(name, value) for name, value in pairs if value is not None]
        if not kept:
            return Claim(None, unit, n=0)
        known = [value for _, value in kept]
        found = proportion_interval(known, grouped([name for name, _ in kept]), LEVEL, seed)
        return Claim(sum(known) / len(known), unit, found.low, found.high, LEVEL, len(known))

    @property
    def names(self) -> list[str]:
        """What each row belongs to: its group, or itself."""
        return [o.query_id if o.group is None else f"group {o.group}" for _, o in self.pairs]


def grouped(names: Sequence[str]) -> Sequence[str] | None:
    """Return what rows belong to, None when no two of them share it."""
    return names if len(set(names)) < len(names) else None


def rows_by_tier(
    tiers: Sequence[str], samples: Iterable[Sample], outcomes: Iterable[Outcome]
) -> tuple[Rows, ...]:
    """Return the scored rows of each tier, in the order of the tiers; a tier without any is out."""
    known = {sample.id: sample for sample in samples if sample.reference is not None}
    found: Mapping[str, list[Pair]] = {tier: [] for tier in tiers}
    for outcome in outcomes:
        sample = known.get(outcome.query_id)
        if outcome.tier in found and sample is not None and outcome.score is not None:
            found[outcome.tier].append((sample, outcome))
    return tuple(Rows(tier, tuple(pairs)) for tier, pairs in found.items() if pairs)


def bare(claim: Claim | None) -> Claim | None:
    """Return a claim without its n, which has a column of its own."""
    if claim is None:
        return None
    return Claim(claim.value, claim.unit, claim.low, claim.high, claim.level)
