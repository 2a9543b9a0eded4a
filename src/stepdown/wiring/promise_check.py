"""Whether a promise was kept on replayed rows: held, contradicted, or open.

It certifies nothing: the intervals are for display. What a promise speaks of is what
`certify.promises` says; rows on which that is unknown are left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from msgspec import Struct

from stepdown.certify.promises import Judged, Measure, measures
from stepdown.core.lock import Estimate, Guarantee, LockedTask
from stepdown.core.policy import Policy
from stepdown.core.replay_array import UNKNOWN, Panel, ReplayedArray, replay_array
from stepdown.core.task import Promise, Task
from stepdown.errors import DataError
from stepdown.wiring.estimating import (
    Floats,
    Groups,
    Rows,
    difference_of,
    groups_of,
    mean_of,
    shifted,
)
from stepdown.wiring.promise_words import AT_LEAST, RECALL, promise_words

Verdict = Literal["held", "contradicted", "open"]
Costs = Mapping[str, Mapping[str, float]]
SOURCE = "replayed rows"
SCORED = ("max_loss", "floor", "min_score")
AGREED = ("min_agreement", "max_disagreement")
AMOUNTS = ("max_cost_usd", "max_latency_s")
NO_COSTS = "the costs of errors stand in stepdown.toml, and no project was opened"


class Kept(Struct, frozen=True, kw_only=True):
    """One promise on replayed rows: its figure there, with interval, and what that says.

    `held`: the whole 95% interval is on the promised side; `contradicted`: none of it is.
    """

    promise: str
    level: float
    words: str
    figure: Estimate
    verdict: Verdict
    why: str = ""


class Delivered(Struct, frozen=True):
    """What the policy sent for each row, beside what the ceiling would have.

    `score` and `ceiling_score` in 0..1, NaN unknown; an abstention scores 0.
    """

    done: ReplayedArray
    score: Floats
    ceiling_score: Floats
    groups: Groups | None


def delivered(table: Panel, done: ReplayedArray, ceiling: str) -> Delivered:
    """Return what was delivered, from a replay."""
    unknown = np.full(table.n, np.nan)
    score = np.where(done.answered_by(None), 0.0, done.score)
    groups = groups_of(table.groups, table.query_ids)
    return Delivered(done, score, table.score.get(ceiling, unknown), groups)


def check(locked: LockedTask, table: Panel, sent: Delivered, costs: Costs) -> tuple[Kept, ...]:
    """Return every locked promise with its figure. `costs` are the project's `error_costs`."""
    return tuple(
        _amount(name, level, sent, locked.policy.ceiling)
        if name in AMOUNTS
        else _kept(name, level, locked, table, sent, costs)
        for name, level in _promised(locked.guarantee)
    )


def _promised(stated: Guarantee) -> Iterator[tuple[str, float]]:
    if stated.level is not None and stated.promise not in ("", "none"):
        yield stated.promise, stated.level
    for other in stated.beside:
        yield other.promise, other.level


def _amount(name: str, level: float, sent: Delivered, ceiling: str) -> Kept:
    paid = sent.done.cost_usd if name == "max_cost_usd" else sent.done.latency_s
    figure = mean_of(paid, "usd" if name == "max_cost_usd" else "s", SOURCE, sent.groups)
    why = "" if figure.value is not None else "it is unknown on some rows"
    return _said(name, level, figure, ceiling, why)


def _kept(
    name: str, level: float, locked: LockedTask, table: Panel, sent: Delivered, costs: Costs
) -> Kept:
    """Measure a promise as certification does, on the rows where it can be known."""
    policy, scope = locked.policy, locked.guarantee.scope
    if scope:
        empty = Estimate(None, source=SOURCE)
        return _said(
            name, level, empty, policy.ceiling, f"it is about {scope}, not this step alone"
        )
    known = np.flatnonzero(_known(name, locked, table, sent))
    rows = table.take(known)
    unknown = table.n - rows.n
    try:
        measure = _measure(name, level, policy, rows, locked.guarantee.reference, costs)
    except DataError as error:
        empty = Estimate(None, source=SOURCE, unknown=unknown)
        return _said(name, level, empty, policy.ceiling, error.message.rstrip("."))
    judged = measure.judged(replay_array(policy, rows, locked.signals))
    groups = None if sent.groups is None else sent.groups[known]
    figure = _figure(measure, judged, groups, unknown)
    return _said(name, level, figure, policy.ceiling, "" if judged.index.size else "no row counts")


def _measure(
    name: str, level: float, policy: Policy, rows: Panel, reference: str, costs: Costs
) -> Measure:
    kind, _, label = name.partition(":")
    if kind == "max_error_cost" and not costs:
        raise DataError(NO_COSTS)
    if not rows.n:
        raise DataError("the outcomes lack the scores or answers that it speaks of")
    asked: dict[str, Any] = {"recall": {label: level}} if kind == RECALL else {kind: level}
    if kind == "max_error_cost":
        asked["error_costs"] = costs
    task = Task(name="", kind="classify", tiers=policy.tiers, promise=Promise(**asked))
    return measures(task, rows, reference, binary=False)[-1]


def _known(name: str, locked: LockedTask, table: Panel, sent: Delivered) -> Rows:
    """Say on which rows the figure of a promise is known; certification counts others as lost."""
    scored = ~np.isnan(sent.score)
    if name in SCORED:
        return scored & ~np.isnan(sent.ceiling_score) if name == "max_loss" else scored
    ceiling = locked.policy.ceiling
    answered = _answered(table, sent.done)
    if name not in AGREED:
        return answered | scored
    own: Rows = table.answers.get(ceiling, np.full(table.n, UNKNOWN, np.int32)) != UNKNOWN
    agreed = sent.done.answered_by(ceiling) | sent.done.answered_by(None) | (answered & own)
    return agreed | scored if locked.guarantee.reference == "ceiling" else agreed


def _answered(table: Panel, done: ReplayedArray) -> Rows:
    """Say on which rows the table holds the answer that was sent."""
    found = done.answered_by(None)
    for tier in filter(None, done.answers):
        if tier in table.answers:
            found = found | (done.answered_by(tier) & (table.answers[tier] != UNKNOWN))
    return found


def _figure(measure: Measure, judged: Judged, groups: Groups | None, unknown: int) -> Estimate:
    """Return the figure with its interval: of a paired difference, or of what lacks to 1."""
    gaps = judged.differences
    own = None if groups is None else groups[judged.index]
    if measure.name == "max_loss":
        mean = difference_of(np.maximum(gaps, 0.0), np.maximum(-gaps, 0.0), SOURCE, own)
    else:
        mean = shifted(mean_of(1.0 + gaps, "score", SOURCE, own), -1.0)
    ends = [None if x is None else measure.figure(x) for x in (mean.low, mean.high)]
    low, high = ends if measure.at_least else ends[::-1]
    value = None if mean.value is None else measure.figure(mean.value)
    unit = "" if measure.name == "max_error_cost" else "score"
    return Estimate(value, low, high, mean.n, unit, SOURCE, unknown)


def _said(name: str, level: float, figure: Estimate, ceiling: str, why: str) -> Kept:
    words = promise_words(name, level, ceiling)
    at_least = name.partition(":")[0] in AT_LEAST
    verdict = _verdict(figure, level, at_least=at_least)
    return Kept(promise=name, level=level, words=words, figure=figure, verdict=verdict, why=why)


def _verdict(figure: Estimate, level: float, *, at_least: bool) -> Verdict:
    if figure.low is None or figure.high is None:
        return "open"
    worst, best = (figure.low, figure.high) if at_least else (-figure.high, -figure.low)
    limit = level if at_least else -level
    if worst >= limit - 1e-12:
        return "held"
    return "contradicted" if best < limit - 1e-12 else "open"
