"""What the lock says of a step, as a dashboard shows it: promise, floor, dates, tested path."""

from __future__ import annotations

from datetime import date

from stepdown.core.board import Locked, PathPoint
from stepdown.core.lock import LockedTask
from stepdown.core.withdrawal import Withdrawal
from stepdown.errors import DataError
from stepdown.wiring.frontier_file import read_frontier
from stepdown.wiring.promise_words import figure_name, promise_words
from stepdown.wiring.review_board import withdrawal_words
from stepdown.wiring.workspace import Workspace


def recorded_tiers(locked: LockedTask) -> tuple[str, ...]:
    """Return the tiers that replay recorded answers."""
    return tuple(name for name, tier in locked.tiers.items() if tier.recorded)


def locked_board(locked: LockedTask, today: date, taken: Withdrawal | None = None) -> Locked:
    """Return what the lock says of a step, on a day; `taken` is what an alarm did to it."""
    stated = locked.guarantee
    left = (date.fromisoformat(stated.review_by) - today).days if stated.review_by else None
    is_over = stated.state == "certified" and left is not None and left < 0
    is_taken = taken is not None and taken.steps_up
    floor, source = floor_of(locked)
    return Locked(
        state="withdrawn" if is_over or is_taken else stated.state,
        promise=promise_words(stated.promise, stated.level, locked.policy.ceiling),
        figure=figure_name(stated.promise),
        level=stated.level,
        bound=stated.bound,
        delta=stated.delta,
        n=stated.n_certify,
        date=stated.date,
        review_by=stated.review_by,
        days_left=left,
        floor=floor,
        floor_source=source,
        score=locked.expected.get("score"),
        ceiling_score=locked.expected.get("ceiling_score"),
        cost_usd=locked.expected.get("cost_usd"),
        withdrawn="" if taken is None else withdrawal_words(taken),
        telling=() if taken is None else taken.examples,
        recorded=recorded_tiers(locked),
    )


def floor_of(locked: LockedTask) -> tuple[float | None, str]:
    """Return the score that a promise leaves at least, and where it comes from."""
    stated = locked.guarantee
    if stated.level is None:
        return None, ""
    if stated.promise in ("floor", "min_score"):
        return stated.level, f"the promise ({stated.promise})"
    top = locked.expected.get("ceiling_score")
    if stated.promise != "max_loss" or top is None or top.value is None:
        return None, ""
    said = f"the ceiling's {top.value:.3f} (n={top.n}, {top.source}) less {stated.level:g}"
    return top.value - stated.level, said


def path_of(
    workspace: Workspace, name: str, locked: LockedTask | None
) -> tuple[tuple[PathPoint, ...], str]:
    """Return the tested path that is kept for a locked step, and what is to be said of it."""
    if locked is None:
        return (), ""
    try:
        found = read_frontier(workspace.project.state, name, locked)
    except DataError as error:
        return (), f"The tested path cannot be shown: {error.message} {error.hint}"
    points = tuple(
        PathPoint(cost_usd=one.cost_usd, score=one.score, passed=one.passed, chosen=one.chosen)
        for one in found
        if one.cost_usd is not None and one.score is not None
    )
    if not found:
        return (), "The path that was tested is not kept on this machine; `certify` keeps it."
    unknown = len(found) - len(points)
    said = f"{unknown} policies of the path are not drawn: their cost or score is unknown."
    return points, said if unknown else ""
