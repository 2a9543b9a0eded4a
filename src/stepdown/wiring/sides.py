"""Two sides of a comparison, from what each answered to the same rows: score, cost, latency."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from stepdown.core.outcome import Outcome
from stepdown.core.report import Claim
from stepdown.core.task import Task
from stepdown.stats.intervals import mean_interval, proportion_interval, quantile
from stepdown.wiring.workspace import Workspace

LEVEL = 0.95
EVEN = 1e-12  # dollars that a thousand calls differ by where all cost the same


class Side(Struct, frozen=True, kw_only=True):
    """One of the two: who it is, how it scored, dollars of a thousand calls, latency."""

    name: str
    model: str
    score: Claim
    cost_usd: Claim
    p50_s: Claim
    unanswered: int


def side_of(
    workspace: Workspace, task: Task, name: str, rows: Sequence[Outcome], seed: int
) -> Side:
    """Return a tier's side of a comparison, from its outcomes on some rows."""
    told = [one.latency_s for one in rows if one.latency_s is not None]
    return Side(
        name=name,
        model=workspace.tiers[name].model,
        score=_score(rows, seed),
        cost_usd=thousand([one.cost_usd for one in rows], seed),
        p50_s=Claim(quantile(told, 0.5), "s", n=len(told)),
        unanswered=sum(one.answer is None for one in rows),
    )


def thousand(costs: Sequence[float | None], seed: int) -> Claim:
    """Return the dollars of a thousand calls; unknown where the cost of any call is."""
    known = [1000 * cost for cost in costs if cost is not None]
    if not costs or len(known) < len(costs):
        return Claim(None, "usd", n=len(known))
    mean = sum(known) / len(known)
    if max(known) - min(known) <= EVEN:
        return Claim(mean, "usd", n=len(known))
    limits = (min(known), max(known))
    found = mean_interval(known, None, LEVEL, seed, limits)
    return Claim(mean, "usd", found.low, found.high, LEVEL, len(known))


def cost_difference(new: Sequence[Outcome], old: Sequence[Outcome], seed: int) -> Claim:
    """Return what a thousand calls cost more on the new tier, paired by row."""
    before = {one.query_id: one.cost_usd for one in old}
    pairs = [(one.cost_usd, before.get(one.query_id)) for one in new]
    return thousand([None if a is None or b is None else a - b for a, b in pairs], seed)


def _score(rows: Sequence[Outcome], seed: int) -> Claim:
    known = [one for one in rows if one.score is not None]
    if not known:
        return Claim(None, "score", n=0)
    values = [one.score or 0.0 for one in known]
    names = [one.group or one.query_id for one in known]
    groups = None if len(set(names)) == len(names) else names
    found = proportion_interval(values, groups, LEVEL, seed)
    mean = sum(values) / len(values)
    return Claim(mean, "score", found.low, found.high, LEVEL, len(values))
