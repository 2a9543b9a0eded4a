"""Why requests moved on or left the guarantee: a bar for each reason, each a link to its traces."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.adapters.render.figures import number
from stepdown.adapters.render.markup import Markup, tag
from stepdown.adapters.render.ui.tables import block, link
from stepdown.core.board import ReasonBoard
from stepdown.core.report import Cell, Claim, Column

_COLUMNS = (
    Column("reason"),
    Column("requests", numeric=True),
    Column("share", numeric=True),
    Column("", optional=True),
)


def escalations(found: Sequence[ReasonBoard], of: int, *, task: str | None, key: str) -> Markup:
    """Return why requests went on to a stronger tier; `of` is how many requests there were."""
    if not found:
        return tag("p", "No request went on to a stronger tier.", class_="none")
    rows = [_row(one, of, _escalated(one, task)) for one in found]
    note = f"Shares are of the {of:,} requests that have a trace. A request may move on twice."
    return _table("Escalations by reason", rows, note, key)


def left_out(found: Sequence[ReasonBoard], of: int, *, task: str | None, key: str) -> Markup:
    """Return why requests are not covered by the guarantee."""
    if not found:
        return tag("p", "No request was outside the guarantee.", class_="none")
    rows = [_row(one, of, link(one.words, "traces", task=task, outside=one.reason))
            for one in found]  # fmt: skip
    return _table(
        "Outside the guarantee, by reason", rows, "What is promised leaves them out.", key
    )


def _table(title: str, rows: Sequence[tuple[Cell, ...]], note: str, key: str) -> Markup:
    return block(title, _COLUMNS, rows, (note,), key=key, kind="block stack")


def _escalated(one: ReasonBoard, task: str | None) -> Markup:
    to = f" → {one.moved_to}" if one.moved_to else ""
    return link(f"{one.words}{to}", "traces", task=task, reason=one.reason)


def _row(one: ReasonBoard, of: int, name: Markup) -> tuple[Cell, ...]:
    share = one.requests / of if of else None
    return (name, Claim(one.requests, "count"), number(share, "share"), _bar(share or 0.0))


def _bar(share: float) -> Markup:
    whole = tag("rect", x=0, y=0, width=100, height=10, class_="all")
    part = tag("rect", x=0, y=0, width=max(0.4, 100 * min(1.0, share)), height=10, class_="part")
    return tag("svg", whole, part, viewBox="0 0 100 10", preserveAspectRatio="none",
               aria_hidden="true")  # fmt: skip
