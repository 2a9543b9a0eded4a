"""The status of every promise as a document, and one task's on one screen."""

from __future__ import annotations

from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.review.status import Alarm, Example, Status, TaskStatus, evidence_words

WIDE = 60  # characters of a text that an example shows


def document(found: Status, *, one: bool) -> Document:
    """Return all tasks in a few tables, or with `one` everything about each."""
    sections = (
        tuple(_whole(task) for task in found.tasks)
        if one
        else (Section("Promises in production", tuple(_overview(found))),)
    )
    return Document(
        title="Review status",
        subtitle=f"{found.at[:16]}, lock {found.lock[:19]}",
        sections=sections,
    )


def _overview(found: Status) -> list[Table | Prose]:
    blocks: list[Table | Prose] = [_states(found), _figures(found), _beside(found)]
    for task in found.tasks:
        blocks += [Prose(f"{task.task}: {note}") for note in task.notes]
    blocks += [_verdict(task) for task in found.tasks]
    return blocks


def _states(found: Status) -> Table:
    columns = (
        Column("task"),
        Column("state"),
        Column("days to review", numeric=True),
        Column("alarms"),
        Column("promise", optional=True),
    )
    rows = tuple((t.task, t.state, _days(t), _ringing(t), t.promise) for t in found.tasks)
    return Table(title="Where each promise stands", columns=columns, rows=rows)


def _days(task: TaskStatus) -> Cell:
    return None if task.days_left is None else Claim(task.days_left, "count")


def _ringing(task: TaskStatus) -> str:
    rung = [f"{one.kind} {one.first_day}" for one in task.alarms if one.rings]
    if rung:
        return ", ".join(rung)
    return "none" if any(one.alpha for one in task.alarms) else "none can ring"


def _figures(found: Status) -> Table:
    columns = (
        Column("task"),
        Column("requests", numeric=True),
        Column("audited", numeric=True),
        Column("loss, at every look", numeric=True),
        Column("allowed", numeric=True),
        Column("labels", numeric=True, optional=True),
        Column("scores", numeric=True, optional=True),
    )
    note = (
        "Loss is over all covered traffic against the ceiling's own answers, which may be wrong "
        "too; the interval holds at 95% however often it is looked at."
    )
    rows = tuple(map(_figure, found.tasks))
    return Table(title="What audits show", columns=columns, rows=rows, notes=(note,))


def _figure(task: TaskStatus) -> tuple[Cell, ...]:
    said, seen = task.measured, task.evidence
    loss = Claim(said.value, "share", said.low, said.high, said.level, said.n, "audits")
    return (
        task.task,
        Claim(seen.requests, "count"),
        Claim(seen.audited, "count"),
        loss if said.n else None,
        None if said.allowed is None else Claim(said.allowed, "share"),
        Claim(seen.labels, "count"),
        Claim(seen.scores, "count"),
    )


def _beside(found: Status) -> Table:
    columns = (
        Column("task"),
        Column("outside", numeric=True),
        Column("unfamiliar", numeric=True),
        Column("not audited", numeric=True),
        Column("audits cost", numeric=True),
        Column("budget", numeric=True),
    )
    rows = tuple(
        (
            t.task,
            Claim(t.outside_share, "share", n=t.evidence.requests),
            Claim(t.unfamiliar, "share", n=t.unfamiliar_n) if t.unfamiliar_n else None,
            Claim(sum(t.evidence.missed.values()), "count"),
            Claim(t.budget.usd_this_month, "usd", source="this month"),
            None if t.budget.usd_per_month is None else Claim(t.budget.usd_per_month, "usd"),
        )
        for t in found.tasks
    )
    notes = [
        f"{t.task}: outside the guarantee: " + ", ".join(f"{w} {n}" for w, n in t.outside.items())
        for t in found.tasks
        if t.outside
    ]
    notes += [
        f"{t.task}: drawn and not audited: "
        + ", ".join(f"{w} {n}" for w, n in t.evidence.missed.items())
        for t in found.tasks
        if t.evidence.missed
    ]
    if any(t.unfamiliar_n for t in found.tasks):
        notes.append("Unfamiliar: less like what was trained on than 9 in 10 certified inputs.")
    return Table(title="Beside it", columns=columns, rows=rows, notes=tuple(notes))


def _verdict(task: TaskStatus) -> Prose:
    taken = task.withdrawal
    if taken is not None:
        done = {
            "ceiling": "the ceiling answers",
            "raised": f"only answers at {taken.threshold} and above are kept",
            "warned": "nothing that is served was changed (on_alarm or on_sign is `warn`)",
        }[taken.acts]
        word = "warned" if taken.acts == "warned" else "withdrawn"
        more = f" See `stepdown review status --task {task.task}`."
        return Prose(
            f"{task.task}: {word} at {taken.at[:16]}: {taken.reason}; {done}.{more}", "bad"
        )
    if task.state == "overdue":
        again = "its ceiling answers until it is certified again"
        return Prose(f"{task.task}: its review was due on {task.review_by}; {again}.", "warn")
    if task.state != "certified":
        return Prose(f"{task.task}: {task.state}, so there is no promise to watch.")
    rest = "no alarm rings"
    return Prose(f"{task.task}: the promise stands; {rest}.", "good")


def _whole(task: TaskStatus) -> Section:
    blocks: list[Table | Prose] = [_verdict(task), _told(task), _alarms(task)]
    if task.examples:
        blocks.append(_examples(task))
    blocks += [Prose(note) for note in task.notes]
    return Section(task.task, tuple(blocks))


def _told(task: TaskStatus) -> Table:
    rows: list[tuple[Cell, ...]] = [
        ("promise", task.promise),
        ("state", task.state),
        ("review by", f"{task.review_by} ({task.days_left} days)" if task.review_by else ""),
        ("requests", f"{task.evidence.requests:,}, {task.evidence.kept:,} kept below the ceiling"),
        ("drawn", _drawn(task)),
        ("loss", _figure(task)[3]),
        ("allowed", task.measured.allowed_words),
        ("labels and scores", _said(task)),
        ("audits cost this month", Claim(task.budget.usd_this_month, "usd")),
    ]
    if task.evidence.conflicts:
        names = ", ".join(task.evidence.conflicts[:5])
        rows.append(("people contradict each other on", names))
    if task.withdrawal is not None:
        rows += [("told", ", ".join(task.withdrawal.told) or "nobody is named in [review]")]
        rows += [("a higher threshold", task.withdrawal.raised_words)]
    return Table(title="The promise", columns=(Column("what"), Column("now")), rows=tuple(rows))


def _drawn(task: TaskStatus) -> str:
    seen = task.evidence
    missed = "".join(f", {n} {why}" for why, n in seen.missed.items())
    return f"{seen.drawn:,}: {seen.audited} audited, {seen.by_ceiling} of the ceiling{missed}"


def _said(task: TaskStatus) -> str:
    seen = task.evidence
    joined = f"{seen.joined} on audited answers, {seen.replaced} replaced by the same person"
    return f"{seen.labels} and {seen.scores}; {joined}"


def _alarms(task: TaskStatus) -> Table:
    columns = (
        Column("alarm"),
        Column("rings"),
        Column("seen", numeric=True),
        Column("allowed", numeric=True),
        Column("evidence", numeric=True),
        Column("since"),
        Column("votes", numeric=True, optional=True),
    )
    notes = [f"{one.kind}: {one.why_not}." for one in task.alarms if one.why_not]
    notes += [f"{one.kind} watches: {one.what}." for one in task.alarms if not one.why_not]
    notes.append("Evidence rings at 1 / its chance; since: when a change most likely began.")
    watching = tuple(_alarm(one) for one in task.alarms if not one.why_not)
    return Table(title="Alarms", columns=columns, rows=watching, notes=tuple(notes))


def _alarm(one: Alarm) -> tuple[Cell, ...]:
    return (
        one.kind,
        one.first_day or "no",
        Claim(one.seen, "share"),
        Claim(one.allowed, "share"),
        evidence_words(one),
        one.since or "",
        Claim(one.votes, "count"),
    )


def _examples(task: TaskStatus) -> Table:
    columns = (
        Column("request"),
        Column("loss", numeric=True),
        Column("sure", numeric=True),
        Column("input"),
        Column("kept"),
        Column("ceiling"),
    )
    bare = all(one.input is None for one in task.examples)
    note = "Texts are there only where `store` keeps them; `stepdown explain ID` tells more."
    notes = (note,) if bare else ()
    rows = tuple(_example(one) for one in task.examples)
    return Table(title="The most telling", columns=columns, rows=rows, notes=notes)


def _example(one: Example) -> tuple[Cell, ...]:
    return (
        one.trace_id[:16],
        Claim(one.loss, "score"),
        Claim(one.confidence, "score"),
        *(_cut(text) for text in (one.input, one.kept, one.ceiling)),
    )


def _cut(text: str | None) -> str:
    flat = " ".join((text or "").split())
    return flat if len(flat) <= WIDE else flat[: WIDE - 1] + "…"
