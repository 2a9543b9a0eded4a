"""What came of certification, as a report and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepdown.certify.certify import Certified
from stepdown.certify.search import Searched
from stepdown.core.lock import Estimate
from stepdown.core.policy import Policy, confidence_of, to_plain
from stepdown.core.report import (
    Cell,
    Claim,
    Column,
    Document,
    Plot,
    Point,
    Prose,
    Section,
    Table,
    Unit,
)
from stepdown.stats.calibrate import reliability_bins
from stepdown.wiring.evaluating import recorded_notes
from stepdown.wiring.workspace import Workspace


def as_data(one: Certified) -> dict[str, Any]:
    """Return one task's certification as plain JSON."""
    found: dict[str, Any] = {"task": one.task.name, **to_plain(one.locked)}
    found["verdict"] = verdict(one)
    return found


def document(workspace: Workspace, found: Sequence[Certified]) -> Document:
    """Return the report: the table of promises, then two plots a task."""
    sections = [Section("Promises", (_promises(workspace, found), _money(workspace, found)))]
    sections += [_task_section(one) for one in found]
    return Document(
        title="Certify",
        subtitle=workspace.project.name,
        facts=(("rows", workspace.whole_split.description),),
        sections=tuple(sections),
        footer="Policies were searched on the tune rows and tested on the certify rows.",
    )


def verdict(one: Certified) -> str:
    """Say in a sentence what came of it."""
    stated = one.locked.guarantee
    if stated.state == "certified":
        return f"route: {policy_words(one.locked.policy)}"
    if stated.state == "declared":
        return f"declared, not certified: {stated.why}"
    if stated.labels_needed is None:
        if not one.task.labels:
            return "stay on the ceiling: no cheaper policy passed"
        return "stay on the ceiling: on the tune rows every cheaper policy loses too much"
    more = stated.labels_needed - stated.n_certify
    if more <= 0:
        return "stay on the ceiling: no cheaper policy passed"
    return f"stay on the ceiling for now: about {more} more labelled rows would decide"


def policy_words(policy: Policy) -> str:
    """Return a policy in words."""
    steps = []
    for row in policy.rows[1:]:
        if row.when:
            clause = row.when[0]
            steps.append(f"{row.called[-1]} keeps at {clause.at_least:.3f} or more")
        else:
            steps.append(f"{row.called[-1]} answers")
    return ", else ".join(steps)


def _promises(workspace: Workspace, found: Sequence[Certified]) -> Table:
    columns = (
        Column("task"),
        Column("state"),
        Column("allowed loss", numeric=True),
        Column("bound", numeric=True),
        Column("observed loss", numeric=True),
        Column("n", numeric=True),
        Column("keeps", numeric=True),
        Column("labels used", numeric=True, optional=True),
    )
    deltas = sorted({one.task.promise.delta for one in found})
    notes = [
        _allowed(deltas),
        "keeps: share of certify rows that the ceiling did not have to answer.",
        LABELS_USED,
    ]
    notes += sorted({f"{one.task.name}: {verdict(one)}" for one in found})
    return Table(
        title="What may be promised",
        columns=columns,
        rows=tuple(map(_promise_row, found)),
        notes=(*notes, *_recorded(workspace, found)),
    )


def _recorded(workspace: Workspace, found: Sequence[Certified]) -> tuple[str, ...]:
    used = dict.fromkeys(tier for one in found for tier in one.task.tiers)
    return tuple(recorded_notes(workspace, used))


LABELS_USED = (
    "labels used: rows where the policy's kept answer scored unlike the ceiling's; where two "
    "answers are equal a deterministic scorer needs no label."
)


def _allowed(deltas: Sequence[float]) -> str:
    said = " or ".join(f"{delta:g}" for delta in deltas)
    return (
        "allowed loss: against the ceiling, on the task's score; the chance that a certified "
        f"promise is wrong is at most {said} for each task, not divided among tasks."
    )


def _promise_row(one: Certified) -> tuple[Cell, ...]:
    stated = one.locked.guarantee
    certified = stated.state == "certified"
    return (
        one.task.name,
        stated.state,
        Claim(stated.level, "score") if stated.level is not None else None,
        Claim(stated.bound, "score") if certified else None,
        _claim(stated.loss) if certified and stated.loss else None,
        Claim(stated.n_certify, "count"),
        Claim(1 - one.locked.kept.get(one.task.ceiling, 0.0), "share"),
        None if stated.labels_used is None else Claim(stated.labels_used, "count"),
    )


def _money(workspace: Workspace, found: Sequence[Certified]) -> Table:
    baseline = workspace.project.baseline or "ceiling"
    columns = (
        Column("task"),
        Column(f"on {baseline}, $/1k", numeric=True),
        Column("policy, $/1k", numeric=True),
        Column("saved", numeric=True),
        Column("score", numeric=True),
        Column("ceiling", numeric=True, optional=True),
    )
    rows = tuple(_money_row(one) for one in found)
    note = "Expected on the certify rows; the report shows what the ledger says was really paid."
    return Table(
        title="What it would cost",
        columns=columns,
        rows=rows,
        notes=(note, *_recorded(workspace, found)),
    )


def _money_row(one: Certified) -> tuple[Cell, ...]:
    expected = one.locked.expected
    before, after = expected.get("baseline_usd"), expected.get("cost_usd")
    return (
        one.task.name,
        _claim(_per_1k(before)),
        _claim(_per_1k(after)),
        Claim(_saved(before, after), "share"),
        _claim(expected.get("score")),
        _claim(expected.get("ceiling_score")),
    )


def _per_1k(one: Estimate | None) -> Estimate | None:
    if one is None or one.value is None or one.unknown:
        return None
    low = None if one.low is None else one.low * 1000
    high = None if one.high is None else one.high * 1000
    return Estimate(one.value * 1000, low, high, one.n, one.unit, one.source)


def _saved(before: Estimate | None, after: Estimate | None) -> float | None:
    known = before is not None and after is not None and not before.unknown and not after.unknown
    if not known or before is None or after is None:
        return None
    if before.value is None or after.value is None or before.value == 0:
        return None
    return 1 - after.value / before.value


def _claim(one: Estimate | None) -> Claim:
    if one is None:
        return Claim(None)
    unit: Unit = one.unit  # type: ignore[assignment]
    return Claim(one.value, unit, one.low, one.high, 0.95, one.n, one.source)


def _task_section(one: Certified) -> Section:
    tone: Any = {"certified": "good", "declared": "warn"}.get(one.state, "plain")
    blocks: list[Prose | Plot | Table] = [Prose(verdict(one), tone)]
    stated = one.locked.guarantee
    if stated.method:
        blocks.append(Prose(f"Method: {stated.method}. {' '.join(stated.assumptions)}"))
    if one.found:
        blocks.append(_frontier(one))
    reliability = _reliability(one)
    if reliability.points:
        blocks.append(reliability)
    return Section(one.task.name, tuple(blocks))


def _frontier(one: Certified) -> Plot:
    along = set(map(id, one.along))
    points = [_point(s, "searched") for s in one.found if id(s) not in along]
    points += [_point(s, "path tested") for s in one.along]
    chosen = one.along[one.chosen]
    points.append(_point(chosen, "chosen", chosen=True))
    return Plot(
        title=f"{one.task.name}: cost against score of the policies searched",
        x_label="$ a call" if chosen.cost_usd is not None else "share of calls to the ceiling",
        y_label="score",
        points=tuple(point for point in points if point is not None),
        x_unit="usd" if chosen.cost_usd is not None else "share",
        y_unit="score",
        notes=(f"On {one.locked.guarantee.n_tune} tune rows, which choose and do not certify.",),
    )


def _point(one: Searched, series: str, *, chosen: bool = False) -> Point:
    x = one.cost_usd if one.cost_usd is not None else 1 - one.kept
    label = policy_words(one.policy) if chosen else ""
    return Point(x, one.score, label=label, chosen=chosen, series=series)


def _reliability(one: Certified) -> Plot:
    points = [point for tier in one.locked.confidence for point in _bins(one, tier)]
    return Plot(
        title=f"{one.task.name}: confidence against accuracy",
        x_label="confidence",
        y_label="share of right answers",
        points=tuple(points),
        x_unit="share",
        y_unit="share",
        joined=True,
        diagonal=True,
        notes=("On certify rows, with Wilson intervals. Confidence ranks; it promises nothing.",),
    )


def _bins(one: Certified, tier: str) -> list[Point]:
    table = one.certify_table
    sure = table.signals.get(confidence_of(tier))
    if sure is None or tier not in table.score:
        return []
    known = ~np.isnan(sure) & ~np.isnan(table.score[tier])
    if not known.any():
        return []
    right = table.score[tier][known] >= 1
    return [
        Point(
            b.mean_confidence, b.accuracy, b.interval.low, b.interval.high, f"n={b.n}", series=tier
        )
        for b in reliability_bins(sure[known], right, 8)
    ]
