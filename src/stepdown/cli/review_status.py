"""`stepdown review status`: whether each promise still holds in production."""

from __future__ import annotations

from typing import Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import NO, open_workspace, session


def review_status(
    project: ProjectOption = HERE,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", metavar="TASK", help="Everything about this task; may be repeated."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only read: withdraw nothing, tell nobody."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Per task: the promise, the evidence so far, its loss, alarms, and what audits cost.

    Looks as the gateway does: a new alarm withdraws the promise, and whoever the section
    `review` of stepdown.toml names is told. Asking twice changes nothing. Exit code 1 where a
    promise is withdrawn or overdue.
    """
    with session("review status", json=json) as talk:
        from stepdown.wiring.review_looking import look
        from stepdown.wiring.review_status import status
        from stepdown.wiring.review_status_report import document

        workspace = open_workspace(talk, project)
        names = tuple(one.name for one in workspace.tasks(task or ()))
        wanted = names if task else ()
        found = (
            status(workspace, tasks=wanted)
            if dry_run
            else look(workspace, "review status", tasks=wanted)
        )
        gone = any(one.state in ("withdrawn", "overdue") for one in found.tasks)
        talk.finish(found, document(found, one=bool(task)), NO if gone else 0)
