"""From tallies to figures: score, difference to the ceiling, latency, cost, failures, decision.

Unknown stays None and is counted. It writes no text of its own but the decision's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from stepdown.core.outcome import Outcome, by_query
from stepdown.core.report import Claim
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.decision import Decision, Evidence, Question, Verdict, decide_on, p_floor
from stepdown.evals.scorers import is_binary
from stepdown.ports.run_store import RunRow

if TYPE_CHECKING:
    from stepdown.evals.tally import Floats, Tally
    from stepdown.stats.arrays import Ints

UNASKED_CEILING = (
    "No decision: the ceiling, {ceiling}, was not asked and none of its answers to these rows is "
    "kept, so there is nothing to compare with."
)
FloorVerdict = Literal["met", "missed", "undecided", "no_data"]


class TierFigures(Struct, frozen=True, kw_only=True):
    """What one tier reached.

    `score` is over the rows that have one; `score_of_all` counts the `unscored` as 0, None where
    there are none. `paired` is the number of rows that both this tier and the ceiling have a score
    for. Latency is that of the calls of this run; `latency_earlier` says that there were none and
    it is what an earlier run measured. `latency_*` are None when nobody measured (a recording).
    `within` and `between` are variances of the score, where each sample was asked several times.
    """

    tier: str
    score: Claim
    score_of_all: Claim | None = None
    difference: Claim | None
    verdict: Verdict
    floor_verdict: FloorVerdict | None = None
    p_value: float | None
    more_labels: int | None
    latency_p50_s: Claim
    latency_p95_s: Claim
    latency_earlier: bool = False
    usd_per_1k: Claim
    unscored: int
    paired: int
    cost_unknown: int
    failures: Mapping[str, int]
    reused: int = 0
    within: float | None = None
    between: float | None = None
    recorded: str = ""
    stopped: str | None = None


class Summary(Struct, frozen=True, kw_only=True):
    """One task's eval. `floor` is the ceiling's score less `max_loss` unless it was given.

    `tasks_together` is among how many tasks the chance of a wrong pass is divided; `run` is the
    digest of the record. Where not even a kept answer of the ceiling is there (`ceiling_asked`),
    it is no row.
    """

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
    repeat: int = 1
    tasks_together: int = 1
    run: str = ""
    ceiling_asked: bool = True


class Asking(Struct, frozen=True, kw_only=True):
    """How the figures are to be made.

    `level` is that of the intervals, `binary` declares scores of 0 and 1 only (the scorer's own
    word when None), `recorded` says what the answers of a recorded tier are, `stopped` why a tier
    ended early, `tasks_together` among how many tasks delta is divided, `ceiling_asked` whether
    there are any answers of the ceiling.
    """

    seed: int
    level: float = 0.95
    floor: float | None = None
    binary: bool | None = None
    recorded: Mapping[str, str] = {}
    stopped: Mapping[str, str] = {}
    tasks_together: int = 1
    run: str = ""
    ceiling_asked: bool = True


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
    """Return the figures and the decision of outcomes, one of each tier for each query.

    Rows with the same `group` are taken together.

    Raises:
        DataError: no outcome belongs to a tier of the task.
    """
    table = by_query(outcome for outcome in outcomes if outcome.tier in task.tiers)
    if not table:
        raise DataError(
            f"There are no outcomes of the tiers of {task.name!r}.",
            f"Its tiers are {', '.join(task.tiers)}.",
        )
    asked = Asking(seed=seed, level=level, floor=floor, binary=binary, recorded=recorded or {})
    return summarise_tallies(task, _tallies(task, table), _codes(table), asked)


def summarise_tallies(
    task: Task, tallies: Mapping[str, Tally], groups: Ints | None, asked: Asking
) -> Summary:
    """Return the figures and the decision for the tiers of a task, weakest first.

    `tallies` are over the same samples; `groups` has a code for each sample, None when all are
    independent.
    """
    return _Figures(task, tallies, groups, asked).summary()


def _tallies(task: Task, table: Mapping[str, Mapping[str, Outcome]]) -> dict[str, Tally]:
    from stepdown.evals.tally import Tally

    found = {tier: Tally(len(table), 1) for tier in task.tiers}
    for i, row in enumerate(table.values()):
        for tier, outcome in row.items():
            found[tier].put(
                i,
                RunRow(
                    sample_id=outcome.query_id,
                    score=outcome.score,
                    failure=outcome.failure,
                    latency_s=outcome.latency_s,
                    cost_usd=outcome.cost_usd,
                ),
            )
    return found


def _codes(table: Mapping[str, Mapping[str, Outcome]]) -> Ints | None:
    import numpy as np

    keys = [_group(next(iter(row.values()))) for row in table.values()]
    numbers = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    if len(numbers) == len(keys):
        return None
    return np.array([numbers[key] for key in keys], dtype=np.int64)


def _group(outcome: Outcome) -> tuple[bool, str]:
    """Return what a row belongs to; a row without a group is one of its own."""
    alone = outcome.group is None
    return (alone, outcome.query_id if outcome.group is None else outcome.group)


class _Figures:
    """All figures of one task; every method is one of them."""

    def __init__(
        self, task: Task, tallies: Mapping[str, Tally], groups: Ints | None, asking: Asking
    ) -> None:
        self.task, self.tallies, self.groups, self.asking = task, tallies, groups, asking
        self.n = next(iter(tallies.values())).n
        self.repeat = next(iter(tallies.values())).repeat
        self.asked = Question(
            max_loss=task.promise.allowed_loss,
            delta=task.promise.delta / asking.tasks_together,
            binary=self.repeat == 1 and self.binary,
            seed=asking.seed,
            floor=task.promise.floor if asking.floor is None else asking.floor,
        )

    @property
    def binary(self) -> bool:
        """Whether one score is 0 or 1 by construction; a mean of repeats is not."""
        if self.asking.binary is not None:
            return self.asking.binary
        return is_binary(self.task)

    def summary(self) -> Summary:
        ceiling = self.score(self.task.ceiling)
        evidence = {tier: self.evidence(tier) for tier in self.task.tiers[:-1]}
        decision = self.decision(evidence, ceiling)
        floor = self.asked.floor
        if floor is None and ceiling.value is not None:
            floor = max(0.0, ceiling.value - self.asked.max_loss)
        groups = self.n if self.groups is None else int(self.groups.max()) + 1
        shown = self.task.tiers if self.asking.ceiling_asked else self.task.tiers[:-1]
        return Summary(
            task=self.task.name,
            scorer=self.task.scorer,
            tiers=tuple(self.figures(tier, evidence, decision) for tier in shown),
            ceiling=self.task.ceiling,
            ceiling_score=ceiling.value,
            floor=floor,
            floor_given=self.asked.floor is not None,
            samples=self.n,
            groups=groups,
            decision=decision,
            repeat=self.repeat,
            tasks_together=self.asking.tasks_together,
            run=self.asking.run,
            ceiling_asked=self.asking.ceiling_asked,
        )

    def decision(self, evidence: Mapping[str, Evidence], ceiling: Claim) -> Decision:
        each = list(evidence.values())
        if ceiling.value is None:
            each = [Evidence(tier=tier, scores=(), ceiling=()) for tier in evidence]
        found = decide_on(each, self.task.ceiling, self.asked)
        if self.asking.ceiling_asked:
            return found
        return replace(found, text=UNASKED_CEILING.format(ceiling=self.task.ceiling))

    def figures(
        self, tier: str, evidence: Mapping[str, Evidence], decision: Decision
    ) -> TierFigures:
        from stepdown.evals.tally import ABSENT
        from stepdown.stats.components import components

        tally = self.tallies[tier]
        tested = next((each for each in decision.tested if each.tier == tier), None)
        score, scored = self.score(tier), _known(tally.means())
        spread = components(tally.score) if tally.repeat > 1 else None
        fresh = _latencies(tally, reused=False)
        times = fresh if fresh.size else _latencies(tally, reused=True)
        return TierFigures(
            tier=tier,
            score=score,
            score_of_all=self.score_of_all(tally, score),
            difference=self.difference(evidence[tier]) if tier in evidence else None,
            verdict="ceiling" if tested is None else tested.verdict,
            floor_verdict=self.floor_verdict(tier, score),
            p_value=None if tested is None else tested.p_value,
            more_labels=None if tested is None else tested.more_labels,
            latency_p50_s=_latency(times, 0.5),
            latency_p95_s=_latency(times, 0.95),
            latency_earlier=not fresh.size and bool(times.size),
            usd_per_1k=_per_1k(tally.cost_usd),
            unscored=int(self.n - scored.sum()),
            paired=len(evidence[tier].scores) if tier in evidence else int(scored.sum()),
            cost_unknown=int((_called(tally) & ~_known(tally.cost_usd)).sum()),
            failures=tally.failures,
            reused=int((tally.reused & (tally.kind != ABSENT)).sum()),
            within=None if spread is None else spread.within,
            between=None if spread is None else spread.between,
            recorded=self.asking.recorded.get(tier, ""),
            stopped=self.asking.stopped.get(tier),
        )

    def score(self, tier: str) -> Claim:
        """Return the mean score with its interval, over the rows that have one."""
        return self._mean(self.tallies[tier].means())

    def score_of_all(self, tally: Tally, score: Claim) -> Claim | None:
        """Return the mean over all rows, those without a score counted as 0, where it differs."""
        import numpy as np

        means = tally.means()
        if score.value is None or not np.isnan(means).any():
            return None
        return self._mean(np.nan_to_num(means, nan=0.0))

    def _mean(self, means: Floats) -> Claim:
        from stepdown.stats.intervals import proportion_interval

        known = _known(means)
        values = means[known]
        if not values.size:
            return Claim(None, "score", n=0)
        groups = self._groups(known)
        found = proportion_interval(values, groups, self.asking.level, self.asking.seed)
        mean = float(values.mean())
        return Claim(mean, "score", found.low, found.high, self.asking.level, values.size)

    def _groups(self, chosen: Floats) -> Ints | None:
        """Return the group codes of chosen rows, None when no two of them share one."""
        import numpy as np

        if self.groups is None:
            return None
        codes: Ints = self.groups[chosen]
        return None if np.unique(codes).size == codes.size else codes

    def floor_verdict(self, tier: str, score: Claim) -> FloorVerdict | None:
        """Say whether a floor that was given is met: the chance of a wrong yes is delta."""
        if self.asked.floor is None:
            return None
        means = self.tallies[tier].means()
        known = _known(means)
        if not known.any():
            return "no_data"
        rows = Evidence(tier=tier, scores=means[known], ceiling=(), groups=self._groups(known))
        if p_floor(rows, self.asked, self.asked.floor) <= self.asked.delta:
            return "met"
        return "missed" if score.high is not None and score.high < self.asked.floor else "undecided"

    def evidence(self, tier: str) -> Evidence:
        """Return the paired scores of a tier and the ceiling.

        A tier that was stopped has none: what it was asked is not the set, and what a dead provider
        missed says nothing of its model. Where the scorer broke on the ceiling's answer the
        ceiling is taken to be right, so that a defect of a scorer lets nobody pass.
        """
        mine, best = self.tallies[tier].means(), _best(self.tallies[self.task.ceiling])
        both = _known(mine) & _known(best)
        if {tier, self.task.ceiling} & self.asking.stopped.keys():
            both[:] = False
        paired = Evidence(
            tier=tier, scores=mine[both], ceiling=best[both], groups=self._groups(both)
        )
        return Evidence(
            tier=tier,
            scores=paired.scores,
            ceiling=paired.ceiling,
            groups=paired.groups,
            difference_high=self.difference(paired).high,
        )

    def difference(self, paired: Evidence) -> Claim:
        """Return the mean of score - ceiling's score on the same rows, with its interval."""
        from stepdown.stats.intervals import paired_difference

        if not len(paired.scores):
            return Claim(None, "score", n=0)
        level, seed = self.asking.level, self.asking.seed
        found = paired_difference(paired.scores, paired.ceiling, paired.groups, level, seed)
        mean = float(paired.differences.mean())
        return Claim(mean, "score", found.low, found.high, level, len(paired.scores))


def _known(values: Floats) -> Floats:
    import numpy as np

    known: Floats = ~np.isnan(values)
    return known


def _best(tally: Tally) -> Floats:
    from stepdown.evals.asking import SCORER_RAISED

    broken = tally.of_kind(SCORER_RAISED)
    return tally.means(broken) if broken.any() else tally.means()


def _called(tally: Tally) -> Floats:
    """Say which rows are of real calls: a tier that was not called cost nothing."""
    from stepdown.evals.asking import UNASKED
    from stepdown.evals.tally import ABSENT

    called: Floats = tally.kind != ABSENT
    for kind in UNASKED:
        called = called & ~tally.of_kind(kind)
    return called


def _latencies(tally: Tally, *, reused: bool) -> Floats:
    chosen: Floats = tally.latency_s[(tally.reused == reused) & _known(tally.latency_s)]
    return chosen


def _latency(times: Floats, q: float) -> Claim:
    from stepdown.stats.intervals import quantile

    return Claim(quantile(times, q), "s", n=int(times.size))


def _per_1k(costs: Floats) -> Claim:
    """Return the mean cost of a thousand calls, over the calls whose cost is known."""
    known = costs[_known(costs)]
    return Claim(1000 * float(known.mean(dtype=float)) if known.size else None, "usd")
