"""What is known of the vectors behind an eval of embeddings, tier by tier, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from stepdown.core.report import Cell, Claim, Column, Table

if TYPE_CHECKING:
    from stepdown.stats.arrays import Floats

LEVEL = 0.95


class TierVectors(Struct, frozen=True, kw_only=True):
    """One tier's vectors: their length, what embedding the texts beside the queries took now.

    `stopped` says why they could not all be made. `correlation` is Spearman's, of pairs; and
    `difference` that to the ceiling on the same pairs.
    """

    tier: str
    dimensions: int | None
    embedded: int
    cost_usd: float | None
    stopped: str | None = None
    correlation: Claim | None = None
    difference: Claim | None = None


class VectorFigures(Struct, frozen=True, kw_only=True):
    """The vectors of a task's tiers; `texts` stand beside the queries: documents, second texts."""

    what: str
    texts: int
    tiers: tuple[TierVectors, ...]


def correlations(
    found: Mapping[str, Floats], truth: Floats, ceiling: str, seed: int
) -> dict[str, tuple[Claim, Claim | None]]:
    """Return, for each tier, Spearman's rho with people and its difference to the ceiling.

    Every tier must have a similarity for every pair; intervals are bootstrapped over pairs.
    """
    from stepdown.stats.agreement import rank_correlation, rank_gap_interval

    claims = {}
    for tier, similar in found.items():
        own = rank_correlation(similar, truth, seed=seed)
        claim = Claim(
            own.value, "score", own.interval.low, own.interval.high, LEVEL, int(truth.size)
        )
        gap = None
        if tier != ceiling and ceiling in found:
            apart = rank_gap_interval(similar, found[ceiling], truth, seed=seed)
            ends = apart.interval
            gap = Claim(apart.value, "score", ends.low, ends.high, LEVEL, int(truth.size))
        claims[tier] = (claim, gap)
    return claims


def vector_table(figures: VectorFigures) -> Table:
    """Return the vectors of each tier as they stand under the scores."""
    ranked = any(each.correlation is not None for each in figures.tiers)
    more = (Column("Spearman", numeric=True), Column("to the ceiling", numeric=True))
    columns = (
        Column("tier"),
        Column("dimensions", numeric=True),
        Column("new vectors", numeric=True),
        Column("cost now", numeric=True),
        *(more if ranked else ()),
    )
    rows = tuple(_row(each, ranked) for each in figures.tiers)
    return Table(
        title=f"Vectors of {figures.texts:,} {figures.what}",
        columns=columns,
        rows=rows,
        notes=tuple(_notes(figures.tiers)),
    )


def _row(each: TierVectors, ranked: bool) -> tuple[Cell, ...]:
    long = None if each.dimensions is None else Claim(each.dimensions, "count")
    cells: tuple[Cell, ...] = (
        each.tier,
        long,
        Claim(each.embedded, "count"),
        Claim(each.cost_usd, "usd"),
    )
    return (*cells, each.correlation, each.difference) if ranked else cells


def _notes(tiers: Sequence[TierVectors]) -> list[str]:
    notes = [f"{each.tier}: {each.stopped}" for each in tiers if each.stopped]
    return [*notes, "Vectors of two models never mix, so one tier embeds everything: no cascade."]
