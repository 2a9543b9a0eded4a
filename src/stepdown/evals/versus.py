"""Two runs side by side, paired by sample: what differs, by how much, and whether that is chance.

Only samples that both have are compared, and the rest is counted. It reads no run and prints none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from stepdown.core.answered import Answered
from stepdown.core.report import Claim
from stepdown.stats.intervals import mean_interval, paired_difference, proportion_interval, quantile
from stepdown.stats.paired_tests import PairedTest, no_difference

LEVEL = 0.95
EVEN = 1e-9


class Change(Struct, frozen=True):
    """One sample whose score changed: the same question, both answers."""

    before: Answered
    after: Answered

    @property
    def gain(self) -> float:
        """How much the score rose; below 0 it fell."""
        return (self.after.score or 0.0) - (self.before.score or 0.0)


class Costs(Struct, frozen=True, kw_only=True):
    """Dollars of a thousand calls, over the samples whose cost both runs know."""

    a: Claim
    b: Claim
    difference: Claim
    unknown: int


class Versus(Struct, frozen=True, kw_only=True):
    """Two runs of one task, `a` before and `b` after; differences are b less a.

    `only_a` and `only_b` count samples that the other run lacks, `edited` ids that both have with
    another text or reference, which are among these. `unscored` counts common ones without a
    score in one of them. `said_otherwise` counts other answers with the same score. Latencies are
    each run's own measured calls: answers that an earlier run had paid for are left out, and
    counted in `reused`.
    """

    task: str
    a: str
    b: str
    score_a: Claim
    score_b: Claim
    difference: Claim
    test: PairedTest
    better: tuple[Change, ...]
    worse: tuple[Change, ...]
    same: int
    said_otherwise: int
    common: int
    groups: int
    only_a: int
    only_b: int
    edited: int
    unscored: int
    costs: Costs
    latency_a: tuple[Claim, Claim]
    latency_b: tuple[Claim, Claim]
    reused: tuple[int, int]


def versus(
    task: str,
    a: tuple[str, Iterable[Answered]],
    b: tuple[str, Iterable[Answered]],
    *,
    seed: int,
) -> Versus:
    """Compare two runs, each a name and its answers; repeats of a sample count as their mean.

    `seed` draws the resamples. Changes come with the greatest first.
    """
    first, second = _by_sample(a[1]), _by_sample(b[1])
    shared = [key for key in first if key in second]
    pairs = [(first[key], second[key]) for key in shared]
    known = [pair for pair in pairs if None not in (_score(pair[0]), _score(pair[1]))]
    scores = [[_score(side) or 0.0 for side in sides] for sides in zip(*known, strict=True)] or [
        [],
        [],
    ]
    groups = _groups([pair[0][0] for pair in known])
    changes = [_change(*pair) for pair in known]
    return Versus(
        task=task,
        a=a[0],
        b=b[0],
        score_a=_mean(scores[0], groups, seed),
        score_b=_mean(scores[1], groups, seed),
        difference=_difference(scores[1], scores[0], groups, seed),
        test=no_difference(scores[1], scores[0], groups, seed),
        better=_sorted(changes, lambda gain: gain > EVEN),
        worse=_sorted(changes, lambda gain: gain < -EVEN),
        same=sum(abs(change.gain) <= EVEN for change in changes),
        said_otherwise=sum(_otherwise(change) for change in changes),
        common=len(shared),
        groups=len(known) if groups is None else len(set(groups)),
        only_a=len(first) - len(shared),
        only_b=len(second) - len(shared),
        edited=len({key[0] for key in first} & {key[0] for key in second}) - len(shared),
        unscored=len(shared) - len(known),
        costs=_costs(pairs, seed),
        latency_a=_latency(first),
        latency_b=_latency(second),
        reused=(_reused(first), _reused(second)),
    )


def _by_sample(rows: Iterable[Answered]) -> dict[tuple[str, str], list[Answered]]:
    found: dict[tuple[str, str], list[Answered]] = defaultdict(list)
    for row in rows:
        found[row.id, row.sample].append(row)
    return dict(found)


def _score(rows: Sequence[Answered]) -> float | None:
    """Return the mean score of a sample's repeats, None unless each has one."""
    known = [row.score for row in rows if row.score is not None]
    return sum(known) / len(known) if len(known) == len(rows) else None


def _groups(rows: Sequence[Answered]) -> list[str] | None:
    """Return what each row belongs to, None where no two rows share a group."""
    names = [f"group {row.group}" if row.group is not None else f"row {row.id}" for row in rows]
    return None if len(set(names)) == len(names) else names


def _mean(values: Sequence[float], groups: Sequence[str] | None, seed: int) -> Claim:
    if not values:
        return Claim(None, "score", n=0)
    found = proportion_interval(values, groups, LEVEL, seed)
    mean = sum(values) / len(values)
    return Claim(mean, "score", found.low, found.high, LEVEL, len(values))


def _difference(
    after: Sequence[float], before: Sequence[float], groups: Sequence[str] | None, seed: int
) -> Claim:
    if not after:
        return Claim(None, "score", n=0)
    found = paired_difference(after, before, groups, LEVEL, seed)
    mean = (sum(after) - sum(before)) / len(after)
    return Claim(mean, "score", found.low, found.high, LEVEL, len(after), found.method)


def _change(before: Sequence[Answered], after: Sequence[Answered]) -> Change:
    """Return a sample's change; of several repeats the first that shows it."""
    if len(before) == len(after) == 1:
        return Change(before[0], after[0])
    gain = (_score(after) or 0.0) - (_score(before) or 0.0)
    pairs = [Change(one, other) for one in before for other in after]
    return next((pair for pair in pairs if pair.gain * gain > EVEN), pairs[0])


def _sorted(changes: Iterable[Change], wanted: Callable[[float], bool]) -> tuple[Change, ...]:
    found = [change for change in changes if wanted(change.gain)]
    return tuple(sorted(found, key=lambda change: -abs(change.gain)))


def _otherwise(change: Change) -> bool:
    return abs(change.gain) <= EVEN and change.before.answer != change.after.answer


def _costs(pairs: Sequence[tuple[Sequence[Answered], Sequence[Answered]]], seed: int) -> Costs:
    told = [(_cost(before), _cost(after), before[0]) for before, after in pairs]
    known = [(x, y, row) for x, y, row in told if x is not None and y is not None]
    groups = _groups([row for _, _, row in known])
    return Costs(
        a=_amount([x for x, _, _ in known], groups, seed),
        b=_amount([y for _, y, _ in known], groups, seed),
        difference=_amount([y - x for x, y, _ in known], groups, seed),
        unknown=len(pairs) - len(known),
    )


def _cost(rows: Sequence[Answered]) -> float | None:
    known = [row.cost_usd for row in rows if row.cost_usd is not None]
    return sum(known) / len(known) if known else None


def _amount(values: Sequence[float], groups: Sequence[str] | None, seed: int) -> Claim:
    """Return the mean dollars of a thousand calls with its interval."""
    if not values:
        return Claim(None, "usd", n=0)
    thousand = [1000 * value for value in values]
    mean, limits = sum(thousand) / len(thousand), (min(thousand), max(thousand))
    if limits[1] - limits[0] < EVEN:
        return Claim(mean, "usd", n=len(values))
    found = mean_interval(thousand, groups, LEVEL, seed, limits)
    return Claim(mean, "usd", found.low, found.high, LEVEL, len(values))


def _latency(rows: Mapping[tuple[str, str], Sequence[Answered]]) -> tuple[Claim, Claim]:
    measured = [
        row.latency_s
        for answers in rows.values()
        for row in answers
        if row.latency_s is not None and not row.reused
    ]
    n = len(measured)
    return (Claim(quantile(measured, 0.5), "s", n=n), Claim(quantile(measured, 0.95), "s", n=n))


def _reused(rows: Mapping[tuple[str, str], Sequence[Answered]]) -> int:
    return sum(row.reused for answers in rows.values() for row in answers)
