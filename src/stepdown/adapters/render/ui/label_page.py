"""The label queue: one question, one key for each answer, large enough for a thumb."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stepdown.adapters.render.figures import number
from stepdown.adapters.render.markup import Markup, join, tag
from stepdown.adapters.render.ui.frame import alert, form, heading, page
from stepdown.adapters.render.ui.tables import address, block, link
from stepdown.core.label_desk import Desk, Question, Stand
from stepdown.core.report import Cell, Column
from stepdown.ports.pages import PREFIX, SIGN_IN, Page, Visitor

MOST = 9  # answers of a question: one key each
AGAIN_MS = 1500
_HERE = f"{PREFIX}/labels"


def queues_page(rows: Sequence[tuple[str, int, str]], project: str, visitor: Visitor) -> Page:
    """Return the queues: each task, how many labels its file holds, and why it has none."""
    columns = (Column("step"), Column("labels kept", numeric=True), Column("queue"))
    cells: list[tuple[Cell, ...]] = [
        (task, f"{kept:,}", why or link("Open the queue", "labels", task))
        for task, kept, why in rows
    ]
    body = [
        heading("Labels", "Only what decides whether a cheaper tier may serve is asked."),
        block("Label queues", columns, cells, key="queues"),
    ]
    return page("Labels", *body, visitor=visitor, here=_HERE, project=project)


def name_page(task: str, by: str, project: str, visitor: Visitor) -> Page:
    """Return the form that asks under which name labels are kept."""
    field = tag("input", type="text", name="by", id="by", value=by, required="", maxlength=60,
                autocomplete="nickname")  # fmt: skip
    asked = tag(
        "form",
        tag("label", "Your name beside each label", field, for_="by"),
        tag("button", "Begin", type="submit", class_="main"),
        method="get",
        action=address("labels", task),
        class_="filters",
    )
    said = (
        "The queue asks about rows on which a cheaper policy and the ceiling give different "
        "answers, as `stepdown label` does, and writes to the same file. Making it runs the "
        "tiers that are embedded or recorded; it never calls a hosted model."
    )
    body = [heading(f"Labels of {task}"), asked, tag("p", said)]
    return page(f"Labels of {task}", *body, visitor=visitor, here=_HERE, project=project)


def closed_page(task: str, project: str, visitor: Visitor) -> Page:
    """Return what a visitor is told who may not see texts."""
    there = tag("a", "Sign in", href=f"{SIGN_IN}?next={address('labels', task)}")
    body = [heading(f"Labels of {task}"), tag("p", "The queue shows texts. ", there, " first.")]
    return page(f"Labels of {task}", *body, visitor=visitor, here=_HERE, project=project)


def label_page(task: str, desk: Desk, by: str, told: str, project: str, visitor: Visitor) -> Page:
    """Return the queue of a task as it stands; `told` is what came of the last key."""
    body = [heading(f"Labels of {task}"), *([alert(told, "plain")] if told else [])]
    body += [*_parts(task, desk, by, visitor)]
    return page(f"Labels of {task}", *body, visitor=visitor, here=_HERE, project=project)


def _parts(task: str, desk: Desk, by: str, visitor: Visitor) -> Iterator[Markup]:
    if desk.state == "making":
        yield tag("p", f"The queue is being made: {desk.said}.", data_again_ms=AGAIN_MS,
                  role="status")  # fmt: skip
        yield tag("p", tag("a", "Look again", href=address("labels", task, by=by),
                           class_="button"))  # fmt: skip
        return
    if desk.state == "failed":
        yield alert(desk.said, "bad")
        return
    if desk.stand is not None:
        yield _standing(desk.stand)
    if desk.question is None:
        yield _ended(desk)
        yield _form(task, by, "", visitor, _others(visitor, can_skip=False))
        return
    if not visitor.may_write:
        yield alert(
            "Read only: this gateway has no key, so nothing can be labelled here. Set an API key, "
            f"or run `stepdown label {task}`.", "plain",
        )  # fmt: skip
    yield from _asked(task, desk.question, by, visitor)


def _standing(stand: Stand) -> Markup:
    """Return how far the question is: a bar of labels given among those that may be needed."""
    most = stand.labelled + stand.left_at_most
    share = 100 * stand.labelled / most if most else 100
    bar = tag(
        "svg",
        tag("rect", x=0, y=0, width=100, height=10, class_="all"),
        tag("rect", x=0, y=0, width=share, height=10, class_="part"),
        viewBox="0 0 100 10", preserveAspectRatio="none", class_="gauge", aria_hidden="true",
    )  # fmt: skip
    said = (
        f"{stand.labelled:,} labelled, at most {stand.left_at_most:,} to go. The loss is under "
        f"{number(stand.bound_worst, 'score')} so far; promised: "
        f"{number(stand.limit, 'score')} (delta {stand.delta:g})."
    )
    if stand.disputed:
        said += (
            f" {stand.disputed:,} rows are disputed: `stepdown label --resolve` asks about them."
        )
    return join([bar, tag("p", said, class_="subtitle")])


def _ended(desk: Desk) -> Markup:
    stand = desk.stand
    if stand is None or not stand.decided:
        return alert("No question is left for now; what was put off is asked again later.",
                     "plain")  # fmt: skip
    if stand.keeps > 0:
        keeps = number(stand.keeps, "share")
        return alert(f"Decided: cheaper tiers keep {keeps}. Run `stepdown certify`.", "good")
    return alert("Decided: no label can certify a cheaper policy any more.", "bad")


def _asked(task: str, question: Question, by: str, visitor: Visitor) -> Iterator[Markup]:
    yield tag(
        "section",
        tag("h2", "Message"),
        tag("p", question.text, class_="text"),
        class_="card",
        aria_label="Message",
    )
    several = len(question.answers) > 1
    yield tag("h2", "Which answer is right?" if several else "Is this answer right?", id="asked")
    disabled = None if visitor.may_write else ""
    buttons = [
        tag("li", _button(place, text, disabled))
        for place, (_, text) in enumerate(question.answers[:MOST], 1)
    ]
    listed = tag("ol", *buttons, class_="answers-to-judge", aria_labelledby="asked")
    inside = join([listed, _rest(question, disabled), _others(visitor, can_skip=True)])
    yield _form(task, by, question.mark, visitor, inside, query=question.query_id)


def _button(place: int, text: str, disabled: str | None) -> Markup:
    key = tag("kbd", str(place), aria_hidden="true")
    is_json = text[:1] in ("{", "[")
    shown = tag("span", text, class_="text code" if is_json else "text")
    return tag("button", key, shown, type="submit", name="said", value=str(place),
               data_key=str(place), aria_keyshortcuts=str(place), disabled=disabled)  # fmt: skip


def _rest(question: Question, disabled: str | None) -> Markup:
    several = len(question.answers) > 1
    keys = [("0", "none is right" if several else "it is wrong")]
    if several:
        keys.insert(0, ("b", "both are right" if len(question.answers) == 2 else "all are right"))
    return tag("p", *(_key(key, text, disabled) for key, text in keys), class_="others")


def _others(visitor: Visitor, *, can_skip: bool) -> Markup:
    disabled = None if visitor.may_write else ""
    keys = [("u", "take the last one back")]
    if can_skip:
        keys.insert(0, ("s", "later"))
    return tag("p", *(_key(key, text, disabled) for key, text in keys), class_="others")


def _key(key: str, text: str, disabled: str | None) -> Markup:
    return tag("button", tag("kbd", key, aria_hidden="true"), f" {text}", type="submit",
               name="said", value=key, data_key=key, aria_keyshortcuts=key,
               disabled=disabled)  # fmt: skip


def _form(
    task: str, by: str, mark: str, visitor: Visitor, inside: Markup, query: str = ""
) -> Markup:
    hidden = [
        tag("input", type="hidden", name=name, value=value)
        for name, value in (("by", by), ("mark", mark), ("query", query))
    ]
    return form(address("labels", task), visitor, *hidden, inside)
