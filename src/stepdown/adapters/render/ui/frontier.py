"""The frontier of a step: the policies that were tested, and the one that is locked."""

from __future__ import annotations

from collections.abc import Iterator

from stepdown.adapters.render.html import plot_figure
from stepdown.adapters.render.markup import Markup, tag
from stepdown.core.board import Locked, PathPoint, StepBoard
from stepdown.core.report import Plot, Point

_PASSED = {True: "tested: passed", False: "tested: rejected", None: "not tested"}
_ROWS = (
    "The path was searched on tune rows, the locked point is measured on certify rows: these are "
    "different rows."
)
_CALLS = 1000  # a price a call is too small to read


def frontier(step: StepBoard, number: int) -> Markup:
    """Return cost against score with the locked point, or why there is none."""
    points = tuple(_points(step))
    if not points:
        said = step.path_note or "No certification of this step is kept, so there is no frontier."
        return tag("p", said, class_="none")
    notes = [
        _ROWS,
        *_recorded(step.locked),
        *([step.path_note] if step.path_note else []),
    ]
    plot = Plot(
        title="Cost against score: the tested path and the locked point",
        x_label="$ for 1,000 calls",
        y_label="score",
        points=points,
        x_unit="usd",
        y_unit="score",
        notes=tuple(notes),
    )
    return plot_figure(plot, number)


def _recorded(locked: Locked | None) -> list[str]:
    if locked is None or not locked.recorded:
        return []
    named = ", ".join(locked.recorded)
    return [f"recorded: {named} replays recorded answers; its cost is computed from tokens."]


def _points(step: StepBoard) -> Iterator[Point]:
    yield from (_on_path(one) for one in step.path)
    locked = step.locked
    if locked is None or locked.cost_usd is None or locked.score is None:
        return
    cost, score = locked.cost_usd.value, locked.score
    if cost is not None and score.value is not None:
        yield Point(
            cost * _CALLS, score.value, score.low, score.high,
            label=f"locked (n={score.n})", chosen=True, series="locked policy",
        )  # fmt: skip


def _on_path(one: PathPoint) -> Point:
    label = "chosen, on tune rows" if one.chosen else ""
    return Point(one.cost_usd * _CALLS, one.score, label=label, series=_PASSED[one.passed])
