"""From outcomes to figures: score, difference to the ceiling, latency, cost, failures, decision.

Unknown stays None and is counted. It writes no text of its own but the decision's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from stepdown.core.outcome import Outcome, by_query
from stepdown.core.report import Claim
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.decision import Decision, Evidence, Question, Verdict, decide_on
from stepdown.evals.scorers import is_binary


class TierFigures(Struct, frozen=True, kw_only=True):
    """What one tier reached.

    `unscored` and `cost_unknown` count what is left out of score and cost; `paired` is the number
    of rows that both this tier and the ceiling have a score for. `latency_*` are None when nobody
    measured them (a recording).
    """

    tier: str
    score: Claim
    difference: Claim | None
    verdict: Verdict
    p_value: float | None
    more_labels: int | None
    latency_p50_s: Claim
    latency_p95_s: Claim
    usd_per_1k: Claim
    unscored: int
    paired: int
    cost_unknown: int
    failures: Mapping[str, int]
    recorded: str = ""


class Summary(Struct, frozen=True, kw_only=True):
    """One task's eval. `floor` is the ceiling's score less `max_loss` unless it was given."""

    task: str
    scorer: str
    tiers: tuple[TierFigures, ...]
    ceiling: str
    ceiling_score: float | None
    floor: float | None
    floor_given: bool
    samples: int
    groups: int
    decision: Decision


def summarise(
    task: Task,
    outcomes: Iterable[Outcome],
    *,
    seed: int,
    level: float = 0.95,
    floor: float | None = None,
    binary: bool | None = None,
    recorded: Mapping[str, str] | None = None,
) -> Summary:
    """Return the figures and the decision for the tiers of a task, weakest first.

    Rows with the same `group` are taken together. `binary` (scores are 0 or 1 by construction)
    comes from the scorer unless given; `recorded` says of each tier that
    replays a recording what its answers are.

    Raises:
        DataError: no outcome belongs to a tier of the task.
    """
    table = by_query(outcome for outcome in outcomes if outcome.tier in task.tiers)
    if not table:
        raise DataError(
            f"There are no outcomes of the tiers of {task.name!r}.",
            f"Its tiers are {', '.join(task.tiers)}.",
        )
    asked = Question(
        max_loss=task.promise.allowed_loss,
        delta=task.promise.delta,
        binary=is_binary(task) if binary is None else binary,
        seed=seed,
        floor=task.promise.floor if floor is None else floor,
    )
    return _Figures(task, table, asked, level, recorded or {}).summary()


class _Figures:
    """All figures of one task; every method is one of them."""

    def __init__(
        self,
        task: Task,
        table: Mapping[str, Mapping[str, Outcome]],
        asked: Question,
        level: float,
        recorded: Mapping[str, str],
    ) -> None:
        self.task, self.table, self.asked = task, table, asked
        self.level, self.recorded = level, recorded
        self.rows = {
            tier: [row[tier] for row in table.values() if tier in row] for tier in task.tiers
        }

    def summary(self) -> Summary:
        ceiling = self.score(self.task.ceiling)
        evidence = {tier: self.evidence(tier) for tier in self.task.tiers[:-1]}
        decision = self.decision(tuple(evidence.values()), ceiling)
        floor = self.asked.floor
        if floor is None and ceiling.value is not None:
            floor = max(0.0, ceiling.value - self.asked.max_loss)
        return Summary(
            task=self.task.name,
            scorer=self.task.scorer,
            tiers=tuple(self.figures(tier, evidence, decision) for tier in self.task.tiers),
            ceiling=self.task.ceiling,
            ceiling_score=ceiling.value,
            floor=floor,
            floor_given=self.asked.floor is not None,
            samples=len(self.table),
            groups=len({_group(o) for row in self.table.values() for o in row.values()}),
            decision=decision,
        )

    def decision(self, evidence: Sequence[Evidence], ceiling: Claim) -> Decision:
        if ceiling.value is None:
            evidence = [Evidence(tier=each.tier, scores=(), ceiling=()) for each in evidence]
        return decide_on(evidence, self.task.ceiling, self.asked)

    def figures(
        self, tier: str, evidence: Mapping[str, Evidence], decision: Decision
    ) -> TierFigures:
        rows = self.rows[tier]
        tested = next((each for each in decision.tested if each.tier == tier), None)
        return TierFigures(
            tier=tier,
            score=self.score(tier),
            difference=self.difference(evidence[tier]) if tier in evidence else None,
            verdict="ceiling" if tested is None else tested.verdict,
            p_value=None if tested is None else tested.p_value,
            more_labels=None if tested is None else tested.more_labels,
            latency_p50_s=_latency(rows, 0.5),
            latency_p95_s=_latency(rows, 0.95),
            usd_per_1k=_per_1k(rows),
            unscored=len(self.table) - len(_scored(rows)),
            paired=len(evidence[tier].scores) if tier in evidence else len(_scored(rows)),
            cost_unknown=sum(o.cost_usd is None for o in _called(rows)),
            failures=dict(sorted(Counter(o.failure for o in rows if o.failure).items())),
            recorded=self.recorded.get(tier, ""),
        )

    def score(self, tier: str) -> Claim:
        """Return the mean score with its interval, over the rows that have one."""
        from stepdown.stats.intervals import proportion_interval

        rows = _scored(self.rows[tier])
        values = [score for _, score in rows]
        if not values:
            return Claim(None, "score", n=0)
        groups = _repeated([outcome for outcome, _ in rows])
        found = proportion_interval(values, groups, self.level, self.asked.seed)
        mean = sum(values) / len(values)
        return Claim(mean, "score", found.low, found.high, self.level, len(values))

    def evidence(self, tier: str) -> Evidence:
        """Return the paired scores of a tier and the ceiling."""
        pairs = [
            (row[tier], row[self.task.ceiling])
            for row in self.table.values()
            if tier in row and self.task.ceiling in row
        ]
        known = [
            (outcome, outcome.score, ceiling.score)
            for outcome, ceiling in pairs
            if outcome.score is not None and ceiling.score is not None
        ]
        paired = Evidence(
            tier=tier,
            scores=tuple(score for _, score, _ in known),
            ceiling=tuple(score for _, _, score in known),
            groups=_repeated([outcome for outcome, _, _ in known]),
        )
        high = self.difference(paired).high
        return Evidence(
            tier=tier,
            scores=paired.scores,
            ceiling=paired.ceiling,
            groups=paired.groups,
            difference_high=high,
        )

    def difference(self, paired: Evidence) -> Claim:
        """Return the mean of score - ceiling's score on the same rows, with its interval."""
        from stepdown.stats.intervals import paired_difference

        if not paired.scores:
            return Claim(None, "score", n=0)
        groups, seed = paired.groups, self.asked.seed
        found = paired_difference(paired.scores, paired.ceiling, groups, self.level, seed)
        mean = float(paired.differences.mean())
        return Claim(mean, "score", found.low, found.high, self.level, len(paired.scores))


def _scored(rows: Sequence[Outcome]) -> list[tuple[Outcome, float]]:
    return [(outcome, outcome.score) for outcome in rows if outcome.score is not None]


def _called(rows: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of real calls: an unavailable tier was not called, and cost nothing."""
    return [outcome for outcome in rows if outcome.failure != "unavailable"]


def _group(outcome: Outcome) -> tuple[bool, str]:
    """Return what a row belongs to; a row without a group is one of its own."""
    alone = outcome.group is None
    return (alone, outcome.query_id if outcome.group is None else outcome.group)


def _repeated(rows: Sequence[Outcome]) -> list[str] | None:
    """Return the groups as text, None when no two rows share one."""
    keys = [_group(outcome) for outcome in rows]
    if len(set(keys)) == len(keys):
        return None
    return [f"{'row' if alone else 'group'} {name}" for alone, name in keys]


def _latency(rows: Sequence[Outcome], q: float) -> Claim:
    from stepdown.stats.intervals import quantile

    known = [outcome.latency_s for outcome in rows if outcome.latency_s is not None]
    return Claim(quantile(known, q), "s")


def _per_1k(rows: Sequence[Outcome]) -> Claim:
    """Return the mean cost of a thousand calls, over the calls whose cost is known."""
    known = [outcome.cost_usd for outcome in rows if outcome.cost_usd is not None]
    return Claim(1000 * sum(known) / len(known) if known else None, "usd")
