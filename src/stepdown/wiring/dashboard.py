"""The Pages port of a running gateway: which page an address is, and what it is made of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import date
from urllib.parse import quote, urlencode

from stepdown.adapters.render.ui.door_page import problem_page, sign_in_page
from stepdown.adapters.render.ui.frame import asset
from stepdown.adapters.render.ui.label_page import (
    closed_page,
    label_page,
    name_page,
    queues_page,
)
from stepdown.adapters.render.ui.overview import RANGES, overview
from stepdown.adapters.render.ui.review_page import review_page
from stepdown.adapters.render.ui.step_page import step_page
from stepdown.adapters.render.ui.traces_page import trace_page, traces_page
from stepdown.adapters.storage.ledger import SpoolLedger
from stepdown.adapters.storage.rollup import Rollup
from stepdown.core.board import Board
from stepdown.core.label_desk import Order
from stepdown.ports.pages import PREFIX, Asked, Page, Visitor
from stepdown.wiring.boarding import board_of, days_until
from stepdown.wiring.counting import Counting
from stepdown.wiring.label_desks import LabelDesks
from stepdown.wiring.pool_words import queues
from stepdown.wiring.review_kept import kept_status
from stepdown.wiring.review_status_report import document as review_words
from stepdown.wiring.tracing import explained, traces_of
from stepdown.wiring.workspace import Workspace

DAYS = 30
FRESH_S = 2.0  # how old shown figures may be
_WAIT_S = 0.05  # for rows that are not counted yet, before the page is made without them
_TOLD = {
    "kept": "Kept.",
    "later": "Put off.",
    "undone": "Taken back.",
    "nothing": "There is nothing of yours to take back.",
    "stale": "That question has changed in the meantime; nothing was kept.",
    "no_key": "That key is no answer to the question; nothing was kept.",
}
_READER = "reader"


class Dashboard:
    """Make the pages of the project that is served. `today` is the date in UTC."""

    def __init__(
        self,
        workspace: Callable[[], Workspace],
        ledger: SpoolLedger,
        today: Callable[[], date],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace = workspace
        self._ledger = ledger
        self._today = today
        self._seconds = seconds
        self._rollup = Rollup(ledger.path)
        self._counting = Counting(self._rollup)
        self._desks = LabelDesks(workspace().project.root)
        self._making = threading.Lock()
        self._boards: dict[int, tuple[float, Board]] = {}
        self._served = workspace()
        self._at: Mapping[str, Callable[[Asked], Page]] = {
            "": self._overview,
            "traces": self._traces,
            "labels": self._labels,
            "review": self._review,
            "sign-in": self._sign_in,
        }
        self._under: Mapping[str, Callable[[Asked, str], Page]] = {
            "tasks": self._step,
            "traces": self._trace,
            "labels": self._label,
        }

    def page(self, asked: Asked) -> Page:
        """Return the page at an address, one that says so where there is none.

        Raises:
            StepdownError: the ledger cannot be read.
        """
        place, _, rest = asked.path.removeprefix(PREFIX).lstrip("/").partition("/")
        if not rest and (found := asset(place)) is not None:
            return found
        if rest and place in self._under:
            return self._under[place](asked, rest)
        if not rest and place in self._at:
            return self._at[place](asked)
        return self.problem(404, f"There is no page at {asked.path[:100]}.", asked.visitor)

    def problem(self, status: int, message: str, visitor: Visitor) -> Page:
        """Return a page that says what went wrong."""
        return problem_page(status, message, visitor, self._project)

    def close(self) -> None:
        """Let go of what runs beside the pages."""
        self._counting.close()
        self._desks.forget()

    @property
    def _project(self) -> str:
        return self._workspace().project.name

    def _board(self, days: int) -> Board:
        """Return the figures, which may be `FRESH_S` old; who asks meanwhile waits for them."""
        with self._making:
            self._forget_old_project()
            made_at, board = self._boards.get(days, (-FRESH_S, None))
            if board is None or self._seconds() - made_at >= FRESH_S:
                self._counting.poke(_WAIT_S)
                lag_s = self._ledger.lag_s()
                board = board_of(self._workspace(), self._rollup, days, self._today(), lag_s)
                self._boards[days] = (self._seconds(), board)
            return board

    def _forget_old_project(self) -> None:
        if self._workspace() is not self._served:
            self._served = self._workspace()
            self._boards.clear()
            self._desks.forget()

    def _overview(self, asked: Asked) -> Page:
        days = _days(asked)
        return overview(self._board(days), days_until(self._today(), days), asked.visitor)

    def _step(self, asked: Asked, task: str) -> Page:
        days = _days(asked)
        board = self._board(days)
        step = board.step(task)
        if step is None:
            return self.problem(404, f"No step is named {task[:100]!r}.", asked.visitor)
        return step_page(board, step, days_until(self._today(), days), asked.visitor)

    def _review(self, asked: Asked) -> Page:
        board, found = self._board(DAYS), kept_status(self._workspace())
        is_ours = found is not None and found.lock == board.lock
        told = (review_words(found, one=True),) if found is not None and is_ours else ()
        return review_page(board, told, asked.visitor)

    def _traces(self, asked: Asked) -> Page:
        found = traces_of(self._ledger.path, asked.query, self._board(DAYS))
        return traces_page(found, self._project, asked.visitor)

    def _trace(self, asked: Asked, trace_id: str) -> Page:
        found = explained(self._ledger, trace_id, texts=asked.visitor.may_read_texts)
        if found is None:
            said = f'No trace {trace_id[:100]!r} is kept; a task with store = "none" keeps none.'
            return self.problem(404, said, asked.visitor)
        return trace_page(
            found.told, found.task, found.texts, found.withheld, self._project, asked.visitor
        )

    def _sign_in(self, asked: Asked) -> Page:
        back = asked.query.get("next", PREFIX)
        return sign_in_page(back, asked.refused, asked.visitor, self._project)

    def _labels(self, asked: Asked) -> Page:
        return queues_page(queues(self._workspace()), self._project, asked.visitor)

    def _label(self, asked: Asked, task: str) -> Page:
        visitor = asked.visitor
        if task not in self._workspace().project.tasks:
            return self.problem(404, f"No task is named {task[:100]!r}.", visitor)
        if not visitor.may_read_texts:
            return closed_page(task, self._project, visitor)
        if asked.form is not None:
            return self._ordered(task, asked.form)
        by = asked.query.get("by", "" if visitor.may_write else _READER)
        if not by.strip():
            return name_page(task, by, self._project, visitor)
        desk = self._desks.ask(task, Order(by=by)).desk
        told = _TOLD.get(asked.query.get("told", ""), "")
        return label_page(task, desk, by, told, self._project, visitor)

    def _ordered(self, task: str, form: Mapping[str, str]) -> Page:
        """Do what a form says, then let the browser load the queue again."""
        by = form.get("by", "")
        order = Order(
            by=by,
            said=form.get("said", ""),
            query=form.get("query", ""),
            mark=form.get("mark", ""),
        )
        told = self._desks.ask(task, order).told
        back = urlencode({"by": by, **({"told": told} if told else {})})
        return Page(goto=f"{PREFIX}/labels/{quote(task, safe='')}?{back}")


def _days(asked: Asked) -> int:
    said = asked.query.get("days", "")
    return int(said) if said.isdecimal() and int(said) in RANGES else DAYS
