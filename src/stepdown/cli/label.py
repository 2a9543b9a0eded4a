"""`stepdown label`: answer only the questions that decide whether a cheaper tier may serve."""

from __future__ import annotations

import asyncio
import getpass
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import DONE, NO, Session, Watching, open_workspace, session

if TYPE_CHECKING:
    from stepdown.stats.labelling import Standing
    from stepdown.wiring.labelling import Card, Labelling

KEYS = "[1-9] that one is right  [0] none  [b] all  [s] later  [u] undo  [q] stop"


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
        from stepdown.wiring.labelling import Labelling, check_name, label_facts
        from stepdown.wiring.pool import labels_of

        workspace = open_workspace(talk, project)
        chosen = workspace.project.task(task)
        with Watching(talk) as watch:
            facts = asyncio.run(label_facts(workspace, chosen, watch))
        name = check_name(by or getpass.getuser())
        desk = Labelling(facts, labels_of(workspace, chosen), name)
        if not status:
            _ask_on(talk, desk, limit, "dispute" if resolve else "second" if second else "next")
        _end(talk, desk)


def _ask_on(talk: Session, desk: Labelling, limit: int | None, which: str) -> None:
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

    talk.err.print(Text(f"\nQuestion {number}  ({card.why})", style="dim"))
    talk.err.print(Panel(Text(card.text), title="message", title_align="left"))
    for place, (_, text) in enumerate(card.answers[:9], 1):
        talk.err.print(Text(f" {place}  {text}"))
    talk.err.print(Text(standing_line(desk.facts.kept, desk.standing()), style="dim"))
    talk.err.print(Text(KEYS, style="bold"))


def _verdict(talk: Session, card: Card) -> Any:
    """Return the keys of the right answers, or `skip`, `undo`, `quit`."""
    while True:
        key = _key()
        if key in ("q", "\x04"):
            return "quit"
        if key in ("s", "u"):
            return {"s": "skip", "u": "undo"}[key]
        if key == "b":
            return [name for name, _ in card.answers]
        if key.isdecimal() and int(key) <= min(9, len(card.answers)):
            return [] if key == "0" else [card.answers[int(key) - 1][0]]
        talk.say(f"{key!r} is no answer. {KEYS}")


def _key() -> str:
    """Read one key from a terminal, one line from anything else (its end is Ctrl-D)."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        return line.strip()[:1] if line else "\x04"
    pressed = typer.getchar()
    if pressed == "\x03":
        raise KeyboardInterrupt
    return pressed.lower()


def standing_line(kept: tuple[float, ...], now: Standing) -> str:
    """Return in one line where the question stands."""
    said = f"{now.labels_used} labels; loss at worst {now.bound_worst:.3f}"
    if now.decided:
        return f"{said}; decided: cheaper tiers keep {kept[now.certified]:.0%}"
    return (
        f"{said}, at best {now.bound_best:.3f}; certified so far: {kept[now.certified]:.0%} kept, "
        f"possible: {kept[now.possible]:.0%}; at most {now.labels_left_at_most} more labels"
    )


def _end(talk: Session, desk: Labelling) -> None:
    from stepdown.wiring.labelling import document, summary

    now = desk.standing()
    talk.finish(summary(desk, now), document(desk, now), DONE if now.decided else NO)
