"""The first page: what all steps cost and saved, how they score, what needs a look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stepdown.adapters.render.figures import number
from stepdown.adapters.render.markup import Markup, tag
from stepdown.adapters.render.ui.frame import alert, heading, page
from stepdown.adapters.render.ui.reasons import escalations
from stepdown.adapters.render.ui.spending import spend_by_day
from stepdown.adapters.render.ui.steps_table import steps_table
from stepdown.adapters.render.ui.tables import address
from stepdown.adapters.render.ui.tiles import Tile, saved_tile, spent_tile, tiles
from stepdown.core.board import Board, ReasonBoard, Spend, StepBoard, total_spend
from stepdown.ports.pages import PREFIX, Page, Visitor

RANGES = (7, 30, 90, 365)
MOST_REASONS = 12
LATE_S = 10.0  # the process that fills looks twice a second


def overview(board: Board, all_days: tuple[str, ...], visitor: Visitor) -> Page:
    """Return the first page; `all_days` are those of its time axis."""
    by_day = _by_day(board)
    body = [
        heading("Overview", f"The last {board.days} days, since {board.since} (UTC)."),
        ranges(board.days, PREFIX),
        *warnings(board),
        tiles(_tiles(board)),
        spend_by_day(all_days, by_day, board.baseline, "Spent by day, all steps", "spend"),
        tag("h2", "Steps"),
        steps_table(board, all_days),
        tag("h2", "Why requests moved on"),
        escalations(_reasons(board), _stored(board), task=None, key="reasons"),
    ]
    return page("Overview", *body, visitor=visitor, here=PREFIX, project=board.project)


def ranges(days: int, path: str) -> Markup:
    """Return links to other ranges of days."""
    items = [
        tag("li", tag("a", f"{n} days", href=f"{path}?days={n}",
                      aria_current="true" if n == days else None))
        for n in RANGES
    ]  # fmt: skip
    return tag("ul", *items, class_="ranges", aria_label="Days shown")


def warnings(board: Board) -> Iterator[Markup]:
    """Yield what a reader must know before the figures of all steps."""
    yield from missing(board)
    for step in board.steps:
        yield from _alarming(step)
    for note in board.notes:
        yield alert(note, "plain")


def missing(board: Board) -> Iterator[Markup]:
    """Yield what the figures of any step leave out."""
    if board.lock_problem:
        yield alert(board.lock_problem, "bad")
    if board.behind:
        yield alert(
            f"{board.behind:,} rows of the ledger are not counted yet; the figures leave them "
            "out. Load the page again in a moment."
        )
    if board.lag_s >= LATE_S:
        yield alert(f"The ledger is {board.lag_s:.0f} s behind; its spool keeps everything.")


def _alarming(step: StepBoard) -> Iterator[Markup]:
    """Yield what an alarm or the calendar did to a step's promise."""
    locked, ringing = step.locked, () if step.audit is None else step.audit.ringing
    if locked is not None and locked.withdrawn:
        yield alert(f"{step.task}: {locked.withdrawn}.", "bad")
    elif locked is not None and locked.state == "withdrawn":
        yield alert(
            f"{step.task}: its guarantee was due for review on {locked.review_by}, so its ceiling "
            "answers. Run `stepdown certify`.",
            "bad",
        )
    for one in ringing:
        yield alert(f"{step.task}: an alarm rings: {one}.", "bad")


def _tiles(board: Board) -> list[Tile]:
    stored = _stored(board)
    escalated = sum(step.escalated for step in board.steps)
    outside = sum(step.outside for step in board.steps)
    return [
        spent_tile(board.spend),
        saved_tile(board.spend, board.baseline),
        share_tile("Escalated", escalated, stored, "moved on to a stronger tier"),
        share_tile("Outside the guarantee", outside, stored, "are not covered"),
        _alarm_tile(board),
        _due_tile(board),
    ]


def share_tile(name: str, part: int, of: int, what: str) -> Tile:
    """Return a count as a share of the requests that have a trace."""
    if not of:
        return Tile(name, "–", "no request has a trace yet")
    return Tile(name, number(part / of, "share"), f"{part:,} of {of:,} requests {what}")


def _alarm_tile(board: Board) -> Tile:
    looks = [step.audit for step in board.steps if step.audit is not None]
    if not looks:
        return Tile("Alarms", "–", "nobody has looked yet; `stepdown review status` does")
    ringing, watched = sum(len(a.ringing) for a in looks), sum(a.watched for a in looks)
    at = max(a.at for a in looks)[:16].replace("T", " ")
    if not watched:
        return Tile("Alarms", "none can ring", f"nothing is watched yet; looked at {at}")
    value = f"{ringing} ring" if ringing > 1 else "1 rings" if ringing else "none rings"
    return Tile("Alarms", value, f"{watched} watch; looked at {at}")


def _due_tile(board: Board) -> Tile:
    due = [
        (step.locked.days_left, step.task, step.locked.review_by)
        for step in board.steps
        if step.locked is not None and step.locked.days_left is not None
    ]
    if not due:
        return Tile("Next review", "–", "no guarantee has a review date")
    left, task, day = min(due)
    value = f"in {left} days" if left > 0 else "today" if left == 0 else f"{-left} days late"
    return Tile("Next review", value, f"{task}, by {day}")


def _stored(board: Board) -> int:
    return sum(step.stored for step in board.steps)


def _by_day(board: Board) -> Mapping[str, Spend]:
    found: dict[str, list[Spend]] = {}
    for step in board.steps:
        for day in step.days:
            found.setdefault(day.day, []).append(day.spend)
    return {day: total_spend(parts) for day, parts in found.items()}


def _reasons(board: Board) -> list[ReasonBoard]:
    summed: dict[tuple[str, str], ReasonBoard] = {}
    for step in board.steps:
        for one in step.reasons:
            if one.kind == "escalation":
                key = (one.reason, one.moved_to)
                before = summed[key].requests if key in summed else 0
                summed[key] = ReasonBoard(
                    kind="escalation", reason=one.reason, words=one.words,
                    requests=before + one.requests, moved_to=one.moved_to,
                )  # fmt: skip
    return sorted(summed.values(), key=lambda one: -one.requests)[:MOST_REASONS]


def step_address(task: str) -> str:
    """Return the address of a step's page."""
    return address("tasks", task)
