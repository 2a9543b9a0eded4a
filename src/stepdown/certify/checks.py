"""What is wrong or odd in the rows that certification was given, each by rule and message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from stepdown.core.outcome import Outcome
from stepdown.core.policy import confidence_of
from stepdown.core.replay_array import Panel, panel
from stepdown.core.task import Task
from stepdown.errors import DataError

FEW = 50  # certify rows below which a promise of 5% or stricter can hardly be decided
LARGE_GROUP = 0.2  # share of the rows from which one group is worth a warning


def checked(rows: Panel | Sequence[Outcome], part: str) -> Panel:
    """Return the rows as a panel.

    Raises:
        DataError: no rows, a query twice, a score outside 0..1, a cost or latency below 0.
    """
    table = rows if isinstance(rows, Panel) else _panel(rows, part)
    if not table.n:
        raise DataError(
            f"There are no {part} rows: nothing can be certified without.",
            "Check that the file has rows, that data.shares gives this part some, and that their "
            "`query_id` is in the data.",
        )
    _refuse_twice(table, part)
    for tier, scores in table.score.items():
        _refuse_outside(table, f"the score of {tier!r}", scores, 1.0, part)
    for tier in table.score:
        _refuse_outside(table, f"the cost of {tier!r}", table.cost_usd[tier], np.inf, part)
        _refuse_outside(table, f"the latency of {tier!r}", table.latency_s[tier], np.inf, part)
    return table


def _panel(rows: Sequence[Outcome], part: str) -> Panel:
    try:
        return panel(rows)
    except ValueError as error:
        raise DataError(
            f"In the {part} rows, {error}.", "Keep one outcome for each query and tier."
        ) from None


def _refuse_twice(table: Panel, part: str) -> None:
    if len(set(table.query_ids)) == table.n:
        return
    name, times = Counter(table.query_ids).most_common(1)[0]
    raise DataError(
        f"The {part} rows hold the query {name!r} {times} times.", "Keep one row for each query."
    )


def _refuse_outside(
    table: Panel,
    what: str,
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    high: float,
    part: str,
) -> None:
    wrong = np.flatnonzero((values < 0) | (values > high) | np.isinf(values))
    if wrong.size:
        first = int(wrong[0])
        limits = "0..1" if high == 1.0 else "0 and more"
        raise DataError(
            f"In the {part} rows, {what} for {table.query_ids[first]!r} is {values[first]:g}; it "
            f"must lie in {limits}.",
            "Correct the row; leave the cell empty where the value is unknown.",
        )


def refuse_shared(tune: Panel, certify: Panel) -> None:
    """Refuse certify rows, or groups, that the tune rows hold too: they would have chosen."""
    both = set(tune.query_ids) & set(certify.query_ids)
    if both:
        raise DataError(
            f"{len(both)} queries are among the tune and the certify rows, {min(both)!r} is one.",
            "A row that chose a policy cannot test it: keep the two apart.",
        )
    shared = (set(tune.groups) & set(certify.groups)) - {None}
    if shared:
        raise DataError(
            f"{len(shared)} groups have rows among the tune and the certify rows, "
            f"{min(map(str, shared))!r} is one.",
            "Keep all rows of a group in one part.",
        )


def refuse_unknown_amounts(task: Task, tables: Sequence[Panel]) -> None:
    """Refuse to promise a cost or a latency that is unknown for some calls."""
    for name, column in (("max_cost_usd", "cost_usd"), ("max_latency_s", "latency_s")):
        if getattr(task.promise, name) is None:
            continue
        for table in tables:
            for tier in [t for t in task.tiers if t in table.score]:
                unknown = int(
                    (np.isnan(getattr(table, column)[tier]) & table.available[tier]).sum()
                )
                if unknown:
                    raise DataError(
                        f"{name} cannot be promised: {column} is unknown for {unknown} of "
                        f"{int(table.available[tier].sum())} calls of {tier!r}.",
                        "Give the tier a price, or the outcomes that column; or drop the promise.",
                    )


def warnings(task: Task, tune: Panel, certify: Panel, reference: str) -> tuple[str, ...]:
    """Return what is odd in rows that can be used all the same."""
    return (
        *_about_size(certify),
        *_about_groups(certify),
        *(said for tier in task.tiers for said in _about_tier(task, tier, tune, certify)),
        *_about_scores(task, certify, reference),
        *_about_truths(task, certify, reference),
        *_about_ceiling(task, tune, certify, reference),
    )


def _about_size(table: Panel) -> Iterator[str]:
    if table.n < FEW:
        yield f"Only {table.n} certify rows: they can decide little; see the rows needed."


def effective_rows(groups: Sequence[str | None]) -> float:
    """Return how many independent rows the rows do the work of, if rows of a group are alike.

    Source: Kish (1965), (sum of sizes)^2 / sum of squared sizes.
    """
    sizes = Counter(group for group in groups if group is not None)
    alone = sum(group is None for group in groups)
    return len(groups) ** 2 / (sum(n * n for n in sizes.values()) + alone)


def _about_groups(table: Panel) -> Iterator[str]:
    sizes = Counter(group for group in table.groups if group is not None)
    if not sizes:
        return
    name, size = sizes.most_common(1)[0]
    if size / table.n > LARGE_GROUP:
        yield (
            f"One group, {name!r}, holds {100 * size / table.n:.0f}% of the certify rows: "
            f"{table.n} rows may do the work of about {effective_rows(table.groups):.0f}."
        )


def _about_tier(task: Task, tier: str, tune: Panel, certify: Panel) -> Iterator[str]:
    if tier not in certify.score:
        yield f"{tier!r} has no certify rows, so it is left to the next tier."
        return
    missing = int((~certify.available[tier]).sum())
    if missing:
        yield (
            f"{tier!r} has no answer for {missing} of {certify.n} certify rows; there the policy "
            "goes on to the strongest tier that has one."
        )
    if tier == task.ceiling:
        return
    sure = tune.signals.get(confidence_of(tier))
    known = sure[~np.isnan(sure)] if sure is not None else np.empty(0)
    if known.size > 1 and np.ptp(known) == 0:
        yield f"The signal of {tier!r} is the same on all tune rows: it keeps all or nothing."


def _about_scores(task: Task, certify: Panel, reference: str) -> Iterator[str]:
    if task.promise.main(reference) not in ("max_loss", "floor", "min_score"):
        return
    for tier in [t for t in task.tiers[:-1] if t in certify.score]:
        ungraded = int((np.isnan(certify.score[tier]) & certify.available[tier]).sum())
        if ungraded:
            yield f"{ungraded} answers of {tier!r} have no score: kept, they count as wrong."


def _about_truths(task: Task, certify: Panel, reference: str) -> Iterator[str]:
    needed = task.promise.recall or task.promise.main(reference) == "max_error_cost"
    unknown = sum(truth is None for truth in certify.truths)
    if needed and unknown:
        yield f"{unknown} certify rows have no right answer, so they say nothing of errors."


def _about_ceiling(task: Task, tune: Panel, certify: Panel, reference: str) -> Iterator[str]:
    if task.ceiling not in certify.score:
        return
    right = np.concatenate([t.score[task.ceiling] for t in (tune, certify) if t.n])
    if (right[~np.isnan(right)] == 0).all():
        yield (
            f"The ceiling {task.ceiling!r} is wrong on every row: is it scored against the right "
            "answers, in the shape that they have?"
        )
    if reference != "ceiling":
        return
    said = "so what is promised is agreement with it; its own errors are not covered"
    if perfect(task, tune, certify):
        yield f"The ceiling {task.ceiling!r} scores 1 by construction, {said}."
    else:
        yield f"The right answers are those of the ceiling {task.ceiling!r}, {said}."


def perfect(task: Task, tune: Panel, certify: Panel) -> bool:
    """Say whether the ceiling scores exactly 1 on every row that has a score."""
    scores = [t.score[task.ceiling] for t in (tune, certify) if task.ceiling in t.score]
    known = np.concatenate([s[~np.isnan(s)] for s in scores]) if scores else np.empty(0)
    return bool(known.size and (known == 1).all())
