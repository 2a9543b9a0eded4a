"""The page of one step: its promise, spend, score against the floor, tiers, reasons, frontier."""

from __future__ import annotations

from collections.abc import Iterator

from stepdown.adapters.render.figures import claim_text, number
from stepdown.adapters.render.markup import Markup, tag
from stepdown.adapters.render.ui.frame import alert, badge, heading, page
from stepdown.adapters.render.ui.frontier import frontier
from stepdown.adapters.render.ui.overview import missing, ranges, share_tile, step_address
from stepdown.adapters.render.ui.reasons import escalations, left_out
from stepdown.adapters.render.ui.spending import score_by_day, spend_by_day
from stepdown.adapters.render.ui.steps_table import due_text, loss_claim, score_claim
from stepdown.adapters.render.ui.tables import block, link
from stepdown.adapters.render.ui.tiles import Tile, saved_tile, spent_tile, tiles
from stepdown.core.board import Board, Locked, StepBoard, TierBoard
from stepdown.core.report import Cell, Claim, Column
from stepdown.ports.pages import PREFIX, Page, Visitor

_ARMS = {"policy": "the policy", "today": "today's model"}
_SAID = (
    "By what people said of answers (feedback): Wilson intervals at 95%, no random sample. "
    "The guarantee rests on its own test, not on this."
)


def step_page(board: Board, step: StepBoard, all_days: tuple[str, ...], visitor: Visitor) -> Page:
    """Return the page of a step."""
    by_day = {one.day: one.spend for one in step.days}
    floor = None if step.locked is None else step.locked.floor
    told = f"{_SAID} {_floor_words(step.locked)}".strip()
    body = [
        heading(step.task, f"The last {board.days} days, since {board.since} (UTC)."),
        ranges(board.days, step_address(step.task)),
        tag("p", *_links(step), class_="ranges"),
        *missing(board),
        *_promise(step),
        tiles(_tiles(board, step)),
        spend_by_day(all_days, by_day, board.baseline, "Spent by day", "spend"),
        score_by_day(all_days, step.days, floor, told, "score"),
        tag("h2", "Who answered"),
        _tiers(step),
        tag("h2", "Why requests moved on"),
        tag("div", *_reasons(step), class_="pair"),
        tag("h2", "Frontier"),
        frontier(step, 1),
    ]
    return page(step.task, *body, visitor=visitor, here=PREFIX, project=board.project)


def _links(step: StepBoard) -> Iterator[Markup]:
    yield link("Its traces", "traces", task=step.task)
    yield link("Its labels", "labels", step.task)


def _floor_words(locked: Locked | None) -> str:
    return "" if locked is None or locked.floor is None else f"Floor: {locked.floor_source}."


def _promise(step: StepBoard) -> Iterator[Markup]:
    locked = step.locked
    if locked is None:
        yield alert("The lock does not hold this step: nothing is promised about it.", "plain")
        return
    yield tag("p", badge(locked.state), f": {locked.promise}.", _bound(locked))
    if locked.withdrawn:
        yield alert(f"{step.task}: {locked.withdrawn}.", "bad")
        yield from _telling(locked)
    elif locked.state == "withdrawn":
        yield alert("Its guarantee is overdue, so its ceiling answers. Run `stepdown certify`.",
                    "bad")  # fmt: skip
    if step.audit is not None:
        yield from _audited(step)
    if locked.recorded:
        yield alert(
            f"Recorded: {', '.join(locked.recorded)} replays recorded answers in place of a live "
            "model.", "plain",
        )  # fmt: skip


def _telling(locked: Locked) -> Iterator[Markup]:
    """Yield links to the requests that tell best why an alarm rang."""
    if locked.telling:
        items = [tag("li", link(name, "traces", name)) for name in locked.telling]
        yield tag("p", "The requests that tell most:")
        yield tag("ul", *items, class_="telling")


def _audited(step: StepBoard) -> Iterator[Markup]:
    """Yield what audits show of the promise, and which alarms ring."""
    audit, claim = step.audit, loss_claim(step)
    assert audit is not None
    at = audit.at[:16].replace("T", " ")
    for one in audit.ringing:
        yield alert(f"An alarm rings: {one}.", "bad")
    if claim is None:
        yield tag("p", f"No answer was audited yet (looked at {at}).")
        return
    allowed = f" Allowed: {audit.allowed_words}." if audit.allowed_words else ""
    yield tag(
        "p",
        f"Loss of {audit.of} by audits: {claim_text(claim)}, against {audit.against}; the interval "
        f"holds at every look (looked at {at}).{allowed}",
    )


def _bound(locked: Locked) -> str:
    if locked.bound is None or locked.n == 0:
        return ""
    value = number(locked.bound, "score")
    return f" Bound on the {locked.figure}: {value}, from n={locked.n:,} rows on {locked.date}."


def _tiles(board: Board, step: StepBoard) -> list[Tile]:
    return [
        spent_tile(step.spend),
        saved_tile(step.spend, board.baseline),
        _score_tile(step),
        share_tile("Escalated", step.escalated, step.stored, "moved on to a stronger tier"),
        share_tile("Outside the guarantee", step.outside, step.stored, "are not covered"),
        _review_tile(step),
    ]


def _score_tile(step: StepBoard) -> Tile:
    claim = score_claim(step.score)
    if claim is None:
        return Tile("Score", "–", "nobody has said anything of its answers (POST /v1/feedback)")
    floor = "" if step.locked is None or step.locked.floor is None else (
        f"; floor {number(step.locked.floor, 'score')}"
    )  # fmt: skip
    text = claim_text(claim).removeprefix(number(claim.value, "score")).strip()
    return Tile("Score", number(claim.value, "score"), f"{text}, by feedback{floor}")


def _review_tile(step: StepBoard) -> Tile:
    due = due_text(step)
    if due is None or step.locked is None:
        return Tile("Review by", "–", "no review is due")
    left = step.locked.days_left
    return Tile("Review by", due, "" if left is None else f"{left} days left")


def _tiers(step: StepBoard) -> Markup:
    if not step.tiers:
        return tag("p", "No request was answered yet.", class_="none")
    columns = (
        Column("tier"),
        Column("of"),
        Column("requests", numeric=True),
        Column("share", numeric=True),
        Column("spent", numeric=True),
        Column("mean latency", numeric=True),
    )
    of = sum(one.spend.requests for one in step.tiers)
    rows = [_tier_row(one, of) for one in step.tiers]
    notes = [
        f"recorded: {one.tier} replays recorded answers; its latency is not a live model's."
        for one in step.tiers
        if one.recorded
    ]
    return block("Requests by the tier that answered", columns, rows, notes, key="tiers")


def _tier_row(one: TierBoard, of: int) -> tuple[Cell, ...]:
    spend = one.spend
    note = f"{spend.cost_unknown:,} unknown" if spend.cost_unknown else ""
    return (
        (one.tier or "nobody") + (" (recorded)" if one.recorded else ""),
        _ARMS.get(one.arm, one.arm),
        Claim(spend.requests, "count"),
        number(spend.requests / of, "share"),
        Claim(spend.known_usd, "usd", note=note),
        Claim(one.mean_latency_s, "s"),
    )


def _reasons(step: StepBoard) -> Iterator[Markup]:
    moved = [one for one in step.reasons if one.kind == "escalation"]
    outside = [one for one in step.reasons if one.kind == "outside"]
    yield escalations(moved, step.stored, task=step.task, key="reasons")
    yield left_out(outside, step.stored, task=step.task, key="outside")
