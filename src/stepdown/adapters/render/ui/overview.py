"""The first page: what all steps cost and saved, how they score, what needs a look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepdown.adapters.render.figures import number
from stepdown.adapters.render.markup import Markup, join, tag
from stepdown.adapters.render.ui.frame import alert, badge, heading, page
from stepdown.adapters.render.ui.reasons import escalations
from stepdown.adapters.render.ui.spending import spend_by_day
from stepdown.adapters.render.ui.tables import address, block, link
from stepdown.adapters.render.ui.tiles import Tile, saved_tile, spent_text, spent_tile, tiles
from stepdown.core.board import Board, ReasonBoard, Spend, StepBoard, total_spend
from stepdown.core.lock import Estimate
from stepdown.core.report import Cell, Claim, Column
from stepdown.ports.pages import PREFIX, Page, Visitor

_LOSS = 7  # the place of its column
RANGES = (7, 30, 90, 365)
MOST_REASONS = 12
LATE_S = 10.0  # the process that fills looks twice a second
_SCORE = (
    "Score: what people said of answers (feedback), Wilson interval at 95%; it is no random "
    "sample. Floor: the score that the promise leaves at least."
)
_COLUMNS = (
    Column("step"),
    Column("guarantee"),
    Column("requests", numeric=True),
    Column("spent", numeric=True),
    Column("saved", numeric=True),
    Column("score", numeric=True),
    Column("floor", numeric=True),
    Column("loss, audited", numeric=True),
    Column("escalated", numeric=True),
    Column("review by"),
)


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
        _steps(board),
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


def _steps(board: Board) -> Markup:
    if not board.steps:
        return tag("p", "No step is locked and none has been served yet.", class_="none")
    rows = [_row(step, board) for step in board.steps]
    columns = _COLUMNS
    if all(row[_LOSS] is None for row in rows):  # nobody audits: no column of dashes
        columns, rows = _without(columns, _LOSS), [_without(row, _LOSS) for row in rows]
    notes = [
        f"Saved against {board.baseline}, where both costs are known.",
        _SCORE,
    ]
    notes += [
        f"{step.task} stores nothing: its {step.counted_only:,} requests are only counted."
        for step in board.steps
        if step.counted_only
    ]
    return block("Each step", columns, rows, notes, key="steps")


def _without(row: tuple[Any, ...], place: int) -> tuple[Any, ...]:
    return row[:place] + row[place + 1 :]


def _row(step: StepBoard, board: Board) -> tuple[Cell, ...]:
    locked, stored = step.locked, step.stored
    state = badge(locked.state) if locked is not None else badge("none")
    days = str(board.days) if board.days != RANGES[1] else None
    return (
        link(step.task, "tasks", step.task, days=days),
        state,
        Claim(step.spend.requests, "count"),
        _with_unknown(step.spend),
        saved_text(step.spend),
        score_claim(step.score),
        None if locked is None or locked.floor is None else number(locked.floor, "score"),
        loss_claim(step),
        number(step.escalated / stored, "share") if stored else None,
        due_text(step),
    )


def _with_unknown(spend: Spend) -> Cell:
    text = spent_text(spend)
    if not spend.cost_unknown:
        return text
    more = tag("span", f"{spend.cost_unknown:,} unknown", class_="by")
    return join([text, " ", more])


def saved_text(spend: Spend) -> str | None:
    """Return what was saved in short."""
    return None if spend.saved_share is None else number(spend.saved_share, "share")


def score_claim(found: Estimate | None) -> Claim | None:
    """Return a score as a claim, None where nobody said anything."""
    if found is None or found.value is None:
        return None
    return Claim(found.value, "score", found.low, found.high, 0.95, found.n, found.source)


def loss_claim(step: StepBoard) -> Claim | None:
    """Return the loss that audits show, None where none was audited."""
    found = None if step.audit is None else step.audit.loss
    if found is None:
        return None
    return Claim(found.value, "share", found.low, found.high, 0.95, found.n, found.source)


def due_text(step: StepBoard) -> str | None:
    """Return when a step's guarantee is due for review."""
    locked = step.locked
    if locked is None or not locked.review_by:
        return None
    return locked.review_by + (", overdue" if (locked.days_left or 0) < 0 else "")


def step_address(task: str) -> str:
    """Return the address of a step's page."""
    return address("tasks", task)
