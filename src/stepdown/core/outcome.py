"""The outcome table: what every tier answered to every query, and how good that was.

Columns: `query_id, tier, score, cost_usd, latency_s, signal.NAME..., answer, group, prompt,
segment, truth`, and `failure` where a tier gave no usable answer. They feed the eval tables,
certification and replay. Unknown score, cost and latency are None. A signal that must be bought (a
vote of samples, a judge) stands under the tier `?NAME`, with its price and `signal.value`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from msgspec import Struct


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One query answered by one tier.

    `score` is 0..1, None when nobody scored it. `signals` hold bare names (`confidence`,
    `margin`); `failure` is the kind of failure (invalid_output, truncated, provider_error,
    unavailable) or None. A failed answer scores 0 unless it is `unavailable`. `group` ties rows
    that are not independent, `segment` is a kind of query that is known before any call (a subject,
    a shop, a language), `truth` the right answer where it is a label.
    """

    query_id: str
    tier: str
    score: float | None = None
    cost_usd: float | None = None
    latency_s: float | None = None
    signals: Mapping[str, float | None] = {}
    answer: str | None = None
    group: str | None = None
    prompt: str | None = None
    segment: str | None = None
    truth: str | None = None
    failure: str | None = None

    def __post_init__(self) -> None:
        """Refuse a score outside 0..1, and cost or latency that is negative or not finite."""
        if self.score is not None and not 0 <= self.score <= 1:
            raise ValueError(f"query {self.query_id!r}: score {self.score} is outside 0..1")
        for name in ("cost_usd", "latency_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"query {self.query_id!r}: {name} {value} is not a finite amount")

    @property
    def confidence(self) -> float | None:
        """The signal named `confidence`."""
        return self.signals.get("confidence")


BOUGHT = "?"  # begins the name under which a signal that was bought stands in a table


def named_signals(outcome: Outcome) -> dict[str, float | None]:
    """Return an outcome's signals under the names that policies use: `TIER.NAME`, or `NAME` for
    one that was bought.
    """
    if outcome.tier.startswith(BOUGHT):
        return {outcome.tier.removeprefix(BOUGHT): outcome.signals.get("value")}
    return {f"{outcome.tier}.{name}": value for name, value in outcome.signals.items()}


def by_query(outcomes: Iterable[Outcome]) -> dict[str, dict[str, Outcome]]:
    """Return the outcomes as query -> tier -> outcome, in the order of first appearance.

    Raises:
        ValueError: a query has two outcomes of one tier.
    """
    table: dict[str, dict[str, Outcome]] = {}
    for outcome in outcomes:
        tiers = table.setdefault(outcome.query_id, {})
        if outcome.tier in tiers:
            raise ValueError(f"query {outcome.query_id!r} has two outcomes of {outcome.tier!r}")
        tiers[outcome.tier] = outcome
    return table
