"""The steps of a project in a table: guarantee, spend, saving, score against floor, review date."""

from __future__ import annotations

from typing import Any

from stepdown.adapters.render.figures import number
from stepdown.adapters.render.markup import Markup, join, tag
from stepdown.adapters.render.ui.frame import badge
from stepdown.adapters.render.ui.spending import spark
from stepdown.adapters.render.ui.tables import block, link
from stepdown.adapters.render.ui.tiles import spent_text
from stepdown.core.board import Board, Spend, StepBoard
from stepdown.core.lock import Estimate
from stepdown.core.report import Cell, Claim, Column

DAYS = 30  # how far back a page goes unless it is asked
_LOSS = 8  # the place of its column
_SCORE = (
    "Score: what people said of answers (feedback), Wilson interval at 95%; it is no random "
    "sample. Floor: the score that the promise leaves at least."
)
_COLUMNS = (
    Column("step"),
    Column("guarantee"),
    Column("requests", numeric=True),
    Column("spent", numeric=True),
    Column("by day"),
    Column("saved", numeric=True),
    Column("score", numeric=True),
    Column("floor", numeric=True),
    Column("loss, audited", numeric=True),
    Column("escalated", numeric=True),
    Column("review by"),
)


def steps_table(board: Board, all_days: tuple[str, ...]) -> Markup:
    """Return a row for each step; `all_days` are those of the time axis."""
    if not board.steps:
        return tag("p", "No step is locked and none has been served yet.", class_="none")
    rows = [_row(step, board, all_days) for step in board.steps]
    columns = _COLUMNS
    if all(row[_LOSS] is None for row in rows):  # nobody audits: no column of dashes
        columns, rows = _without(columns, _LOSS), [_without(row, _LOSS) for row in rows]
    notes = [
        f"Saved against {board.baseline}, where both costs are known.",
        f"By day: spent as bars, {board.baseline} alone as a line, each step on its own scale.",
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


def _row(step: StepBoard, board: Board, all_days: tuple[str, ...]) -> tuple[Cell, ...]:
    locked, stored = step.locked, step.stored
    state = badge(locked.state) if locked is not None else badge("none")
    days = str(board.days) if board.days != DAYS else None
    return (
        link(step.task, "tasks", step.task, days=days),
        state,
        Claim(step.spend.requests, "count"),
        _with_unknown(step.spend),
        spark(all_days, {one.day: one.spend for one in step.days}),
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
