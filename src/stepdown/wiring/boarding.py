"""Gather what the dashboard shows: the sums of the ledger, the lock, the paths that were tested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from stepdown.adapters.storage.rollup import Rollup
from stepdown.adapters.storage.sums import sums_of
from stepdown.core.board import (
    Board,
    DayBoard,
    ReasonBoard,
    Spend,
    StepBoard,
    TierBoard,
    total_spend,
)
from stepdown.core.lock import Estimate, Lock
from stepdown.errors import DataError, LockError
from stepdown.stats.sum_interval import sum_interval
from stepdown.wiring.exposing import served_now
from stepdown.wiring.lock_board import locked_board, path_of, recorded_tiers
from stepdown.wiring.measuring import gateways
from stepdown.wiring.reason_words import reason_words
from stepdown.wiring.review_board import Reviewed
from stepdown.wiring.workspace import Workspace

LEVEL = 0.95
FEEDBACK = "feedback"
_NO_SUMS: Mapping[str, Any] = {
    "days": (), "tiers": (), "reasons": (), "scores": (), "counted_only": (), "behind": 0,
}  # fmt: skip


def days_until(today: date, days: int) -> tuple[str, ...]:
    """Return the last `days` days, today the last one."""
    return tuple((today - timedelta(days=back)).isoformat() for back in range(days - 1, -1, -1))


def board_of(
    workspace: Workspace, rollup: Rollup, days: int, today: date, lag_s: float = 0.0
) -> Board:
    """Return everything of the last `days` days; `lag_s` is how old what waits in the spool is.

    Raises:
        DataError: the sums cannot be used.
    """
    since = days_until(today, days)[0]
    sums = sums_of(rollup, since) if rollup.ledger.is_file() else _NO_SUMS
    lock, problem = _lock(workspace)
    names = _names(workspace, lock, sums)
    running = gateways(workspace.project.state)
    served = _served(workspace, running=running > 0)
    review = Reviewed(workspace, lock)
    steps = (
        _step(workspace, name, lock, sums, today, served.get(name, ""), review) for name in names
    )
    return Board(
        project=workspace.project.name,
        baseline=workspace.project.baseline or "the ceiling",
        since=since,
        until=today.isoformat(),
        days=days,
        steps=tuple(steps),
        gateways=running,
        lock=None if lock is None else lock.digest,
        lock_problem=" ".join(filter(None, (problem, review.problem))),
        behind=sums["behind"],
        lag_s=lag_s,
    )


def _lock(workspace: Workspace) -> tuple[Lock | None, str]:
    try:
        return workspace.lock(), ""
    except LockError as error:
        return None, f"{error.message} {error.hint}".strip()


def _names(workspace: Workspace, lock: Lock | None, sums: Mapping[str, Any]) -> list[str]:
    """Return the tasks of the project in its order, then those that only the ledger knows."""
    seen = [row["task"] for kind in ("days", "counted_only") for row in sums[kind]]
    locked = () if lock is None else tuple(lock.tasks)
    known = [name for name in workspace.project.tasks if name in locked or name in seen]
    return list(dict.fromkeys([*known, *seen]))


def _served(workspace: Workspace, *, running: bool) -> dict[str, str]:
    try:
        found = served_now(workspace.project, running=running)
    except DataError as error:
        return dict.fromkeys(workspace.project.tasks, error.message)
    return {name: str(exposure) for name, exposure in found.items()}


def _step(
    workspace: Workspace,
    name: str,
    lock: Lock | None,
    sums: Mapping[str, Any],
    today: date,
    serving: str,
    review: Reviewed,
) -> StepBoard:
    mine = {kind: _of(sums[kind], name) for kind in ("days", "tiers", "reasons", "scores")}
    counted = _of(sums["counted_only"], name)
    locked = None if lock is None else lock.tasks.get(name)
    path, note = path_of(workspace, name, locked)
    recorded = () if locked is None else recorded_tiers(locked)
    return StepBoard(
        task=name,
        locked=None if locked is None else locked_board(locked, today, review.taken(name, locked)),
        serving=serving,
        spend=total_spend(map(spend_of, (*mine["days"], *counted))),
        escalated=sum(row["escalated"] for row in mine["days"]),
        outside=sum(row["outside"] for row in mine["days"]),
        abstained=sum(row["abstained"] for row in mine["days"]),
        counted_only=sum(row["traces"] for row in counted),
        days=_days(mine["days"], counted, mine["scores"]),
        tiers=tuple(_tier(row, recorded) for row in mine["tiers"]),
        reasons=tuple(map(_reason, mine["reasons"])),
        score=_score(mine["scores"]),
        path=path,
        path_note=note,
        audit=review.audit(name),
    )


def _of(rows: Iterable[Mapping[str, Any]], task: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["task"] == task]


def spend_of(row: Mapping[str, Any]) -> Spend:
    """Return the money of a row of sums."""
    return Spend(
        requests=row["traces"],
        cost_usd=row["cost_usd"],
        cost_unknown=row["cost_unknown"],
        both_known=row.get("both_known", row["traces"] - row["cost_unknown"]),
        both_cost_usd=row["both_cost_usd"],
        both_baseline_usd=row["both_baseline_usd"],
    )


def _days(
    days: Sequence[Mapping[str, Any]],
    counted: Sequence[Mapping[str, Any]],
    scores: Sequence[Mapping[str, Any]],
) -> tuple[DayBoard, ...]:
    spends: dict[str, list[Spend]] = {}
    for row in (*days, *counted):
        spends.setdefault(row["day"], []).append(spend_of(row))
    said: dict[str, list[Mapping[str, Any]]] = {}
    for row in scores:
        said.setdefault(row["day"], []).append(row)
    return tuple(
        DayBoard(day=day, spend=total_spend(spends.get(day, ())), score=_score(said.get(day, ())))
        for day in sorted({*spends, *said})
    )


def _score(rows: Sequence[Mapping[str, Any]]) -> Estimate | None:
    n, total = sum(row["n"] for row in rows), sum(row["total"] for row in rows)
    if not n:
        return None
    low, high = sum_interval(total, n, LEVEL)
    return Estimate(total / n, low, high, n, "score", FEEDBACK)


def _tier(row: Mapping[str, Any], recorded: Sequence[str]) -> TierBoard:
    return TierBoard(
        tier=row["tier"] or None,
        arm=row["arm"],
        spend=spend_of(row),
        mean_latency_s=row["latency_s"] / row["traces"],
        recorded=row["tier"] in recorded,
    )


def _reason(row: Mapping[str, Any]) -> ReasonBoard:
    return ReasonBoard(
        kind=row["kind"],
        reason=row["reason"],
        requests=row["traces"],
        words=reason_words(row["reason"]),
        moved_to=row["moved_to"],
    )
