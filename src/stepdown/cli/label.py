"""`stepdown label`: answer only the questions that decide whether a cheaper tier may serve."""

from __future__ import annotations

import asyncio
import getpass
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import DONE, NO, Session, open_workspace, session
from stepdown.cli.watching import Watching
from stepdown.errors import InputError

if TYPE_CHECKING:
    from stepdown.core.task import Task
    from stepdown.wiring.label_facts import Facts
    from stepdown.wiring.labelling import Card, Labelling, Which
    from stepdown.wiring.workspace import Workspace

OTHER_KEYS = "[s] later  [u] undo  [q] stop"
MOST = 9  # answers of a question: one key each
END_OF_INPUT = "\x04"


def label(
    task: Annotated[str, typer.Argument(help="The task whose promise shall be decided.")],
    by: Annotated[
        str | None, typer.Option(help="Your name beside each label.", show_default="login name")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask at most so many questions.")] = None,
    resolve: Annotated[
        bool, typer.Option("--resolve", help="Ask about what two people judged differently.")
    ] = False,
    second: Annotated[
        bool, typer.Option("--second", help="Judge again, unseen, what others judged.")
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Say where the question stands; ask nothing.")
    ] = False,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Label only where a cheaper policy and the ceiling disagree, until the question is decided.

    Where two answers are the same nothing can be lost, so nobody is asked; an unlabelled
    disagreement counts as a full loss, so a bound holds from the first moment and tightens with
    each label. Answers are shown in random order without their tiers. Labels are kept in
    labels/TASK.jsonl, one line each, before the next question; the same command goes on from
    there. Exit code 1: not decided yet.
    """
    with session("label", json=json) as talk:
        from stepdown.wiring.labelling import Labelling, check_name
        from stepdown.wiring.pool_labels import labels_of

        if resolve and second:
            raise InputError(
                "--resolve and --second ask about different rows.", "Pass one of the two."
            )
        name = check_name(_login() if by is None else by)
        workspace = open_workspace(talk, project)
        chosen = workspace.project.task(task)
        file = labels_of(workspace, chosen)
        with Watching(talk.err) as watch:
            facts = asyncio.run(_facts(workspace, chosen, watch))
        desk = Labelling(facts, file, name)
        if not status:
            _ask_on(talk, desk, limit, "dispute" if resolve else "second" if second else "next")
        _end(talk, desk)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


async def _facts(workspace: Workspace, task: Task, watch: Watching) -> Facts:
    from stepdown.wiring.label_facts import label_facts

    try:
        return await label_facts(workspace, task, watch)
    finally:
        await workspace.aclose()


def _ask_on(talk: Session, desk: Labelling, limit: int | None, which: Which) -> None:
    asked = 0
    while limit is None or asked < limit:
        card = desk.draw(which)
        if card is None:
            return
        _show(talk, desk, card, asked + 1)
        verdict = _verdict(talk, card)
        if verdict == "quit":
            return
        if verdict == "undo":
            taken = desk.undo()
            talk.say(f"Taken back: {taken}." if taken else "Nothing of this session to take back.")
        elif verdict == "skip":
            desk.skip(card)
        else:
            desk.say(card, verdict, resolves=which == "dispute")
            asked += 1


def _show(talk: Session, desk: Labelling, card: Card, number: int) -> None:
    from rich.panel import Panel
    from rich.text import Text

    from stepdown.wiring.label_report import standing_line

    talk.err.print(Text(f"\nQuestion {number}"))
    talk.err.print(Panel(Text(card.text), title="message", title_align="left"))
    for place, (_, text) in enumerate(card.answers[:MOST], 1):
        talk.err.print(Text(f" {place}  {text}"))
    talk.err.print(Text(standing_line(desk, desk.standing()), style="dim"))
    talk.err.print(Text(_keys(card), style="bold"))


def _keys(card: Card) -> str:
    """Say which keys there are; with one answer it is right or wrong."""
    if len(card.answers) == 1:
        return f"[1] right  [0] wrong  {OTHER_KEYS}"
    last, several = min(MOST, len(card.answers)), "both" if len(card.answers) == 2 else "all"
    return f"[1-{last}] that one is right  [b] {several}  [0] none  {OTHER_KEYS}"


def _verdict(talk: Session, card: Card) -> Any:
    """Return the keys of the right answers, or `skip`, `undo`, `quit`."""
    while True:
        key = _key()
        if key in ("q", END_OF_INPUT):
            return "quit"
        if key in ("s", "u"):
            return {"s": "skip", "u": "undo"}[key]
        if key == "b" and len(card.answers) > 1:
            return [name for name, _ in card.answers]
        if key.isdecimal() and int(key) <= min(MOST, len(card.answers)):
            return [] if key == "0" else [card.answers[int(key) - 1][0]]
        named = repr(key) if key.isprintable() else "That key"
        talk.say(f"{named} is no answer here; {_keys(card)}")


def _key() -> str:
    """Read one key from a terminal, one line from anything else (its end is Ctrl-D)."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        return line.strip()[:1] if line else END_OF_INPUT
    pressed = typer.getchar()
    if pressed == "\x03":
        raise KeyboardInterrupt
    return pressed.lower()


def _end(talk: Session, desk: Labelling) -> None:
    from stepdown.wiring.label_report import document, summary

    now = desk.standing()
    talk.finish(summary(desk, now), document(desk, now), DONE if now.decided else NO)
