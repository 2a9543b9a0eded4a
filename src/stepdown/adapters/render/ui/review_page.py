"""When each guarantee must be reviewed, and what is promised until then."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.adapters.render.html import document_parts
from stepdown.adapters.render.markup import Markup, tag
from stepdown.adapters.render.ui.frame import badge, heading, page
from stepdown.adapters.render.ui.overview import warnings
from stepdown.adapters.render.ui.steps_table import due_text
from stepdown.adapters.render.ui.tables import block, link
from stepdown.core.board import Board, StepBoard
from stepdown.core.report import Cell, Claim, Column, Document
from stepdown.ports.pages import PREFIX, Page, Visitor

_HERE = f"{PREFIX}/review"
_UNSEEN = (
    "Nobody has looked at the promises of this lock yet. `serve` looks every few minutes; "
    "`stepdown review status` looks now."
)
_COLUMNS = (
    Column("step"),
    Column("guarantee"),
    Column("review by"),
    Column("days left", numeric=True),
    Column("promise"),
    Column("bound", numeric=True),
    Column("certified on"),
)


def review_page(board: Board, told: Sequence[Document], visitor: Visitor) -> Page:
    """Return the dates, and what `review` has to say (`told`)."""
    body = [
        heading("Review", "Is what was promised still true?"),
        *warnings(board),
        _dates(board),
        *(part for one in told for part in _told(one)),
        *([] if told else [tag("p", _UNSEEN, class_="none")]),
    ]
    return page("Review", *body, visitor=visitor, here=_HERE, project=board.project)


def _told(one: Document) -> tuple[Markup, Markup]:
    return tag("p", f"What the last look found: {one.subtitle}.", class_="subtitle"), (
        document_parts(one)
    )


def _dates(board: Board) -> Markup:
    locked = [step for step in board.steps if step.locked is not None]
    if not locked:
        return tag("p", "The lock holds no step, so nothing is due for review.", class_="none")
    soon = sorted(locked, key=_left)
    rows = [_row(step) for step in soon]
    notes = ("Past its date a certified guarantee counts as withdrawn: the ceiling answers.",)
    return block("Review dates, the next first", _COLUMNS, rows, notes, key="dates")


def _left(step: StepBoard) -> float:
    left = None if step.locked is None else step.locked.days_left
    return float("inf") if left is None else left


def _row(step: StepBoard) -> tuple[Cell, ...]:
    locked = step.locked
    assert locked is not None
    bound = None if locked.bound is None else Claim(locked.bound, "score", n=locked.n or None)
    return (
        link(step.task, "tasks", step.task),
        badge(locked.state),
        due_text(step),
        None if locked.days_left is None else f"{locked.days_left}",
        locked.promise,
        bound,
        locked.date or None,
    )
