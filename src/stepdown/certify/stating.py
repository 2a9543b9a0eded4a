"""Put what was tested into words and numbers: the guarantee that stands in the lock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import numpy as np

from stepdown.certify.evidence import Evidence, Terms
from stepdown.certify.figures import loss_estimate, mean_estimate
from stepdown.certify.looks import Spent
from stepdown.certify.promises import Measure
from stepdown.certify.tested import Rows, TestedPath, bound, figure, inside
from stepdown.core.lock import Beside, Estimate, Guarantee
from stepdown.core.replay_array import Panel, ReplayedArray
from stepdown.core.task import Task

AMOUNTS = (("max_cost_usd", "cost_usd", "usd"), ("max_latency_s", "latency_s", "s"))


def base(evidence: Evidence, terms: Terms, n_tune: int, table: Panel) -> Guarantee:
    """Return what every guarantee says of its rows and dates; it promises nothing yet."""
    return Guarantee(
        state="ceiling",
        reference=evidence.reference,
        split=evidence.split,
        n_train=evidence.n_train,
        n_tune=n_tune,
        n_certify=table.n,
        groups=len(set(table.groups)),
        data=evidence.data,
        date=terms.today.isoformat(),
        review_by=(terms.today + timedelta(days=terms.review_days)).isoformat(),
    )


def stated(
    guarantee: Guarantee,
    task: Task,
    rows: Rows,
    promises: Sequence[Measure],
    done: ReplayedArray,
    spent: Spent,
    *,
    certified: bool,
    method: str,
    assumptions: Sequence[str],
    delta: float,
) -> Guarantee:
    """Return the guarantee of a chosen policy, whose replay on all certify rows is `done`.

    Bounds are shown for each promise at `delta`, which is this test's own share.
    """
    main, others = promises[0], promises[1:]
    return msgspec.structs.replace(
        guarantee,
        state="certified" if certified else "ceiling",
        promise=main.name,
        level=main.level,
        delta=spent.delta,
        bound=_bound(main, done, rows, delta, certified=certified),
        beside=(
            *(_recall(one, done, rows, delta, certified=certified) for one in others),
            *amounts(task, done),
        ),
        loss=loss_of(task, done, rows.table),
        method=method,
        assumptions=(*assumptions, *spent.remarks),
        looks=spent.looks,
        seed=rows.seed,
        labels_used=_labels_used(promises, done),
    )


def loss_of(task: Task, done: ReplayedArray, table: Panel) -> Estimate:
    """Return the loss of a replayed policy against the ceiling."""
    return loss_estimate(np.nan_to_num(done.score), table.score[task.ceiling])


def _bound(
    measure: Measure, done: ReplayedArray, rows: Rows, delta: float, *, certified: bool
) -> float | None:
    """The ceiling keeps whatever is promised against itself, with a bound of 0."""
    if not certified:
        return 0.0 if measure.name in ("max_loss", "max_disagreement") else None
    return bound(measure, inside(measure.judged(done), rows), rows, delta)


def _recall(
    measure: Measure, done: ReplayedArray, rows: Rows, delta: float, *, certified: bool
) -> Beside:
    judged = inside(measure.judged(done), rows)
    seen = figure(measure, judged)
    return Beside(
        promise=measure.name,
        level=measure.level,
        certified=certified,
        bound=bound(measure, judged, rows, delta) if certified else None,
        estimate=Estimate(seen, n=judged.index.size, unit="share", source="certify rows"),
        n=judged.index.size,
    )


def amounts(task: Task, done: ReplayedArray) -> tuple[Beside, ...]:
    """Return the promises of cost and latency: estimates, which are not certified."""
    found = []
    for name, column, unit in AMOUNTS:
        limit = getattr(task.promise, name)
        if limit is not None:
            estimate = mean_estimate(getattr(done, column), unit)
            found.append(Beside(name, limit, False, None, estimate, estimate.n))
    return tuple(found)


def within_limits(beside: Sequence[Beside]) -> bool:
    """Say whether the upper end of every estimated amount is within its limit.

    Where all rows cost the same there is no interval, and the amount itself must be.
    """
    for one in beside:
        if one.estimate is not None:
            end = one.estimate.value if one.estimate.high is None else one.estimate.high
            if end is None or end > one.level:
                return False
    return True


def _labels_used(promises: Sequence[Measure], done: ReplayedArray) -> int:
    """Rows whose right answer had to be known. With a deterministic scorer equal answers lose
    nothing against the ceiling, whatever the label.
    """
    used = np.zeros(done.answer_at.size, dtype=bool)
    for measure in promises:
        judged = measure.judged(done)
        if measure.name == "max_loss":
            used[judged.index[judged.differences != 0]] = True
        elif measure.name not in ("min_agreement", "max_disagreement"):
            used[judged.index] = True
    return int(used.sum())


def share_of_delta(task: Task, terms: Terms) -> tuple[float, tuple[str, ...]]:
    """Return the delta that this task may spend, and what is said of how it was divided."""
    promise = task.promise
    if promise.over == "task":
        return promise.delta, ()
    tasks = max(1, terms.tasks_together)
    said = (
        f"delta {promise.delta:g} holds for {tasks} tasks of the project together (Bonferroni): "
        f"{promise.delta / tasks:.3g} each."
    )
    return promise.delta / tasks, (said,)


def why(
    task: Task,
    tested: TestedPath | None,
    along: int,
    chosen: int,
    ceiling: ReplayedArray,
    rows: Rows,
    promises: Sequence[Measure],
) -> str:
    """Say in a sentence or two why this policy was chosen."""
    if chosen:
        return f"Policy {chosen} of {along - 1} on the path from the ceiling to the cheapest."
    return " ".join([_nothing(task, tested), *ceiling_misses(task, ceiling, rows, promises)])


def _nothing(task: Task, tested: TestedPath | None) -> str:
    if tested is None:
        return "No policy on the tune rows is cheaper than the ceiling."
    if not tested.certified:
        return "No cheaper policy passed the test; the ceiling answers everything."
    if task.promise.max_cost_usd or task.promise.max_latency_s:
        return "What passed saves nothing, or is not surely within the limits of cost and latency."
    return "What could be certified saves nothing on the certify rows; the ceiling answers."


def ceiling_misses(
    task: Task, ceiling: ReplayedArray, rows: Rows, promises: Sequence[Measure]
) -> list[str]:
    """Say which promises the ceiling itself does not keep on these rows."""
    said = []
    for measure in promises:
        judged = inside(measure.judged(ceiling), rows)
        seen = figure(measure, judged)
        if measure.name not in ("max_loss", "max_disagreement") and seen is not None:
            told = mean_estimate(judged.differences + 1.0, "score")
            said += _missed(task, measure, seen, told)
    said += [
        f"The ceiling {task.ceiling!r} itself is not surely within {one.promise} {one.level:g}."
        for one in amounts(task, ceiling)
        if not within_limits([one])
    ]
    return said


def _missed(task: Task, measure: Measure, seen: float, told: Estimate) -> list[str]:
    target = 1.0 - measure.epsilon
    if told.low is None or told.high is None or told.low > target:
        return []
    name = f"{measure.name} {measure.level:g}"
    said = f"The ceiling {task.ceiling!r} itself has {seen:.4g} on {told.n} certify rows"
    if told.high < target:
        return [f"{said}, which does not keep {name}: no policy that leans on it can promise that."]
    return [f"{said}, which does not surely keep {name}; it answers without that promise."]
