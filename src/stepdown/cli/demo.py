"""`stepdown demo`: the whole loop on a bundled project."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from stepdown.cli.session import Session, session
from stepdown.cli.watching import Watching


def demo(
    to: Annotated[
        Path | None, typer.Option(help="Folder for the project; stepdown-demo[-banking77].")
    ] = None,
    data: Annotated[
        str, typer.Option(help="supportdesk (bundled), or banking77 with --path.")
    ] = "supportdesk",
    path: Annotated[
        Path | None, typer.Option(help="Folder with banking77's train.csv and test.csv.")
    ] = None,
    frontier: Annotated[
        str | None,
        typer.Option(help="anthropic:MODEL or openai:MODEL: call the real one; needs its key."),
    ] = None,
    messages: Annotated[int, typer.Option(min=1, help="Messages sent through the gateway.")] = 120,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before spending money.")] = False,
) -> None:
    """Watch a support desk's pipeline step down: audit, eval, train, certify, serve, report.

    Runs on real embedded models, on this machine, without a key; about four minutes on two cores.
    The frontier tier replays recorded answers of a large language model unless --frontier names a
    live one. An interrupted demo goes on where it stopped; results lie in the folder.
    """
    with session("demo") as talk:
        from stepdown.errors import InputError

        if data == "banking77":
            _banking(talk, to or Path("stepdown-demo-banking77"), path)
        elif data == "supportdesk":
            _supportdesk(talk, to or Path("stepdown-demo"), frontier, messages, yes)
        else:
            raise InputError(f"There are no data {data!r}.", "Use supportdesk or banking77.")


def _banking(talk: Session, to: Path, path: Path | None) -> None:
    from stepdown.demo import banking
    from stepdown.errors import InputError

    if path is None:
        raise InputError("banking77 is not bundled.", "Name its folder with --path.")
    with Watching(talk.err) as watch:
        asyncio.run(banking.run(to, path, _Screen(talk, watch)))


def _supportdesk(talk: Session, path: Path, frontier: str | None, messages: int, yes: bool) -> None:
    from stepdown.demo import loop
    from stepdown.demo.spending import expected, spend_words

    if frontier is not None:
        cost = expected(frontier, messages)
        talk.say(spend_words(frontier, cost))
        if not yes and not typer.confirm("Spend it?", err=True):
            raise SystemExit(1)
    loop.prepare(path, frontier)
    with Watching(talk.err) as watch:
        screen = _Screen(talk, watch)
        plan = loop.Plan(folder=path, messages=messages)
        asyncio.run(loop.run(plan, screen))
    talk.print("")
    talk.print(f"Type your own message:  stepdown ask intent 'where is my parcel?' -p {path}")
    talk.print(f"Or start the gateway:   stepdown serve -p {path}")


class _Screen:
    """The terminal as the demo's screen."""

    def __init__(self, talk: Session, watch: Watching) -> None:
        self._talk = talk
        self.watch = watch

    def section(self, title: str, command: str) -> None:
        self._talk.out.print()
        self._talk.out.rule(f"[bold]{title}", align="left")
        self._talk.out.print(f"$ {command}", style="dim", markup=False, highlight=False)
        self._talk.out.print()

    def show(self, document: Any) -> None:
        from stepdown.adapters.render.terminal import print_document

        print_document(document, self._talk.out)

    def say(self, text: str) -> None:
        self._talk.print(text)
