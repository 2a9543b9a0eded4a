"""A review as a report: a line for each task, then what changes in words, then the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import structs, to_builtins

from stepdown.core.lock import Estimate
from stepdown.core.policy import to_plain
from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.wiring.alternatives import alternatives, alternatives_table
from stepdown.wiring.estimating import claim_of
from stepdown.wiring.policy_words import policy_words
from stepdown.wiring.promise_words import guarantee_words, short_words
from stepdown.wiring.review_figures import BeforeAfter, before_after
from stepdown.wiring.reviewing import Kind, Reviewed

TONES: dict[Kind, Any] = {
    "renewed": "good",
    "changes": "warn",
    "withdrawn": "bad",
    "waiting": "plain",
    "spent": "warn",
    "nothing": "plain",
}
SAID: dict[Kind, str] = {
    "renewed": "Renewed",
    "changes": "Changes",
    "withdrawn": "Withdrawn: the ceiling answers",
    "waiting": "Waiting for fresh rows",
    "spent": "These rows were tested before",
    "nothing": "Stays as it is",
}
NEEDED = "needed: fresh rows by which the policy in force passes with chance .8, as things were."
PROMOTE = (
    "On tune rows, paired. After `stepdown models promote DIGEST` a review tests it on fresh rows."
)
FOOTER = (
    "Earlier rows chose, fresh rows tested: first the policy in force, then what this month's "
    "search puts beside it. Costs are at today's prices."
)


def document(found: Sequence[Reviewed], project: str, today: str) -> Document:
    """Return the report of a review."""
    return Document(
        title="Review",
        subtitle=f"{project}, {today}",
        sections=(
            Section("Promises", (_summary(found),)),
            *(Section(one.task.name, tuple(_blocks(one))) for one in found),
        ),
        footer=FOOTER,
    )


def as_data(one: Reviewed) -> dict[str, Any]:
    """Return the review of a task as plain JSON."""
    figures = before_after(one)
    return {
        "task": one.task.name,
        "verdict": one.kind,
        "why": one.why,
        "days_to_review": one.days,
        "fresh_rows": one.fresh.n,
        "sources": dict(one.fresh.sources),
        "left_out": one.fresh.left_out,
        "rows_needed": one.needed,
        "notes": list(one.notes),
        "alarm": one.alarm,
        "candidates": [to_builtins(c) for c in one.candidates],
        "was": policy_words(one.was.policy, one.was.signals),
        "now": None if one.locked is None else policy_words(one.locked.policy, one.locked.signals),
        "figures": None if figures is None else to_builtins(figures),
        "tried": [] if one.found is None else [to_builtins(t) for t in alternatives(one.found)],
        "locked": None if one.locked is None else to_plain(one.locked),
        "must_change": one.urgent,
    }


def _summary(found: Sequence[Reviewed]) -> Table:
    columns = (
        Column("task"),
        Column("verdict"),
        Column("promise", optional=True),
        Column("fresh rows", numeric=True),
        Column("needed", numeric=True, optional=True),
        Column("due in", numeric=True),
    )
    return Table(
        title="What the review says",
        columns=columns,
        rows=tuple(_line(one) for one in found),
        notes=(NEEDED,),
    )


def _line(one: Reviewed) -> tuple[Cell, ...]:
    stated = one.was.guarantee
    return (
        one.task.name,
        SAID[one.kind],
        short_words(stated.promise, stated.level) if stated.state == "certified" else stated.state,
        Claim(one.fresh.n, "count"),
        None if one.needed is None else Claim(one.needed, "count"),
        None if one.days is None else f"{one.days} days",
    )


def _blocks(one: Reviewed) -> Iterator[Prose | Table]:
    yield Prose(f"{SAID[one.kind]}. {one.why}".strip(), TONES[one.kind])
    if one.alarm:
        yield Prose(one.alarm, "bad")
    yield from (Prose(said, "warn") for said in one.notes)
    yield from _words(one)
    figures = before_after(one)
    if figures is not None:
        yield _figures(figures)
    tried = None if one.found is None else alternatives_table(one.found)
    if tried is not None:
        yield tried
    if one.candidates:
        yield _candidates(one)


def _words(one: Reviewed) -> Iterator[Prose]:
    """Yield the diff of the lock in words: what changes for whom."""
    was = policy_words(one.was.policy, one.was.signals)
    if one.locked is None:
        yield Prose(f"In force: {was}.")
        return
    now = policy_words(one.locked.policy, one.locked.signals)
    if now == was:
        yield Prose(f"Policy, as before: {now}.")
    else:
        yield Prose(f"Until now: {was}.")
        yield Prose(f"Proposed: {now}.")
    before, after = one.was.guarantee, one.locked.guarantee
    yield Prose(
        f"Promise: {guarantee_words(after, one.task.ceiling)}. "
        f"Review by {after.review_by or 'no date'} (was {before.review_by or 'no date'})."
    )


def _figures(found: BeforeAfter) -> Table:
    columns = (
        Column("figure"),
        Column("in force", numeric=True),
        Column("proposed", numeric=True),
        Column("difference", numeric=True),
    )
    before, after = found.before, found.after
    rows: tuple[tuple[Cell, ...], ...] = (
        ("score", claim_of(before.score), claim_of(after.score), claim_of(found.gained)),
        (
            "cost of 1,000 calls",
            _per_1k(before.cost_usd),
            _per_1k(after.cost_usd),
            _saved(found.saved),
        ),
        ("kept from the ceiling", Claim(before.keeps, "share"), Claim(after.keeps, "share"), None),
    )
    return Table(
        title="On the same fresh rows",
        columns=columns,
        rows=rows,
        notes=("Differences are paired by row; for cost it is the share saved.",),
    )


def _candidates(one: Reviewed) -> Table:
    columns = (
        Column("candidate"),
        Column("tier"),
        Column("score", numeric=True),
        Column("now", numeric=True),
        Column("difference", numeric=True),
        Column("$/1k, difference", numeric=True, optional=True),
    )
    rows = tuple(
        (
            f"{c.artifact.recipe} {c.artifact.short}",
            c.artifact.tier,
            c.tried.new.score,
            c.tried.old.score,
            c.tried.difference,
            c.tried.cost_difference,
        )
        for c in one.candidates
    )
    return Table(title="Trained since, not promoted", columns=columns, rows=rows, notes=(PROMOTE,))


def _saved(one: Estimate | None) -> Claim:
    return structs.replace(claim_of(one), note="saved") if one is not None else Claim(None)


def _per_1k(one: Estimate) -> Claim:
    def scaled(value: float | None) -> float | None:
        return None if value is None else value * 1000

    said = claim_of(one)
    return msgspec.structs.replace(
        said, value=scaled(said.value), low=scaled(said.low), high=scaled(said.high)
    )


def message(found: Sequence[Reviewed], today: str) -> str:
    """Return the message of a commit that holds the proposed lock: a line for each task."""
    lines = (f"{one.task.name}: {SAID[one.kind].lower()}. {one.why}".strip() for one in found)
    return "\n".join([f"Review the promises of {today}", "", *lines, ""])
