"""Traces, the latest first, with filters; and one trace with every attempt explained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stepdown.adapters.render.figures import number
from stepdown.adapters.render.html import document_parts
from stepdown.adapters.render.markup import Markup, join, tag
from stepdown.adapters.render.ui.frame import alert, heading, page
from stepdown.adapters.render.ui.tables import address, block, link
from stepdown.core.report import Cell, Claim, Column, Document
from stepdown.core.trace_list import TraceLine, TraceList
from stepdown.ports.pages import PREFIX, Page, Visitor

_HERE = f"{PREFIX}/traces"
_COLUMNS = (
    Column("time"),
    Column("task"),
    Column("answered by"),
    Column("because"),
    Column("confidence", numeric=True),
    Column("latency", numeric=True),
    Column("cost", numeric=True),
    Column("guarantee"),
)


def traces_page(shown: TraceList, project: str, visitor: Visitor) -> Page:
    """Return one page of traces."""
    body = [
        heading("Traces", "Every request that was answered, the latest first."),
        _filters(shown),
        _table(shown),
        *_turn(shown),
    ]
    return page("Traces", *body, visitor=visitor, here=_HERE, project=project)


def _filters(shown: TraceList) -> Markup:
    chosen = shown.chosen
    outsides = [("any", "any reason"), *shown.outsides]
    return tag(
        "form",
        _choice("task", "Task", [(t, t) for t in shown.tasks], chosen.task),
        _choice("reason", "Moved on because", shown.reasons, chosen.reason),
        _choice("outside", "Outside the guarantee", outsides, chosen.outside),
        tag("button", "Show", type="submit"),
        *([tag("a", "Show all", href=_HERE, class_="button")] if _is_filtered(shown) else []),
        method="get",
        action=_HERE,
        class_="filters",
        aria_label="Filters",
    )


def _is_filtered(shown: TraceList) -> bool:
    chosen = shown.chosen
    return bool(chosen.task or chosen.reason or chosen.outside)


def _choice(name: str, title: str, values: Iterable[tuple[str, str]], chosen: str) -> Markup:
    found = list(values)
    if chosen and chosen not in [value for value, _ in found]:
        found.append((chosen, chosen))
    options = [tag("option", "all", value="")]
    options += [
        tag("option", words, value=value, selected="" if value == chosen else None)
        for value, words in found
    ]
    key = f"filter-{name}"
    return tag("label", title, tag("select", *options, name=name, id=key), for_=key)


def _table(shown: TraceList) -> Markup:
    if not shown.lines:
        said = "No trace passes the filter"
        said += f" among the {shown.looked:,} that were looked at." if shown.stopped else "."
        return tag("p", said, class_="none")
    rows = [_row(one) for one in shown.lines]
    return block("Traces", _COLUMNS, rows, key="traces", kind="block wide-table")


def _row(one: TraceLine) -> tuple[Cell, ...]:
    outside = [tag("span", f" outside: {one.outside}", class_="by")] if one.outside else []
    moved = [tag("span", " (moved on)", class_="by")] if one.escalated else []
    return (
        tag("time", link(one.at[:19].replace("T", " "), "traces", one.id), datetime=one.at),
        one.task,
        one.answered_by or "nobody",
        join([one.words, *moved]),
        None if one.confidence is None else number(one.confidence, "score"),
        number(one.latency_s, "s"),
        Claim(one.cost_usd, "usd"),
        join([one.guarantee, *outside]),
    )


def _turn(shown: TraceList) -> Sequence[Markup]:
    """Return the way to the next page, and what stopped this one."""
    said = []
    if shown.stopped and shown.lines:
        said.append(alert(
            f"Few traces pass this filter: {shown.looked:,} were looked at for this page.", "plain",
        ))  # fmt: skip
    links = []
    chosen = shown.chosen
    query = {"task": chosen.task, "reason": chosen.reason, "outside": chosen.outside}
    if not shown.is_first:
        links.append(tag("a", "Latest", href=address("traces", **query), class_="button"))
    if shown.next:
        older = address("traces", **query, before=shown.next)
        links.append(tag("a", "Older", href=older, class_="button", rel="next"))
    return [*said, tag("p", join(_spaced(links)), class_="turn")] if links else said


def _spaced(links: Sequence[Markup]) -> list[Markup]:
    return [part for one in links for part in (one, Markup(" "))]


def trace_page(
    told: Document,
    task: str,
    texts: Sequence[tuple[str, str]],
    withheld: str,
    project: str,
    visitor: Visitor,
) -> Page:
    """Return one trace explained, with the (name, text) that were kept of it.

    `withheld` says why there are none, "" where there are.
    """
    body = [
        heading(told.title, told.subtitle),
        tag("p", link("Other traces of this task", "traces", task=task),
            Markup(" · "), link("The step", "tasks", task)),
        document_parts(told),
        tag("h2", "Texts"),
        *([alert(withheld, "plain")] if withheld else []),
        *(_text(name, text) for name, text in texts),
    ]  # fmt: skip
    return page(told.title, *body, visitor=visitor, here=_HERE, project=project)


def _text(name: str, text: str) -> Markup:
    kind = "text code" if text[:1] in ("{", "[") else "text"
    return tag("section", tag("h3", name), tag("p", text, class_=kind), class_="card",
               aria_label=name)  # fmt: skip
