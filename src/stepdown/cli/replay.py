"""`stepdown replay`: what the locked policy would have done on recorded outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from stepdown.cli.options import HERE, HtmlOption, JsonOption, ProjectOption
from stepdown.cli.session import DONE, NO, Session, open_workspace, session


def replay(
    outcomes: Annotated[
        Path, typer.Option("--outcomes", help="An outcome table: Parquet, CSV or JSONL.")
    ],
    task: Annotated[
        str | None,
        typer.Argument(help="The locked task; needed where the lock holds several."),
    ] = None,
    lock: Annotated[
        Path | None, typer.Option(help="Another lock file; no stepdown.toml is needed then.")
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Beside each tier alone, static hull, prior and oracle."),
    ] = False,
    project: ProjectOption = HERE,
    html: HtmlOption = None,
    json: JsonOption = False,
) -> None:
    """Replay the lock on other data: is the promise kept, at what cost, who answered, and why.

    Exit code 1 when a promise is contradicted: its whole 95% interval lies on the wrong side.
    """
    with session("replay", json=json) as talk:
        from stepdown.adapters.tables.outcome_panel import read_panel
        from stepdown.wiring.replay_report import document
        from stepdown.wiring.replaying import Asked, replay_asked

        held, state, promises = _locked(talk, lock, project)
        asked = Asked(
            lock=held,
            task=task,
            state=state,
            promises=promises,
            compare=compare,
            beside=state.parent if state is not None else HERE,
        )
        found = replay_asked(asked, read_panel(outcomes))
        report = document(found)
        if html is not None:
            from stepdown.adapters.render.html import write_html

            write_html(html, report)
            talk.say(f"Wrote {html}")
        talk.finish(found, report, NO if found.broken else DONE)


def _locked(talk: Session, lock: Path | None, project: Path) -> tuple[Any, Path, Any]:
    """Return the lock, the folder `.stepdown` beside it, and what the project promises now."""
    if lock is not None:
        from stepdown.wiring.lockfile import read_lock

        return read_lock(lock), lock.parent / ".stepdown", {}
    workspace = open_workspace(talk, project)
    promises = {name: task.promise for name, task in workspace.project.tasks.items()}
    return workspace.lock(), workspace.project.state, promises
