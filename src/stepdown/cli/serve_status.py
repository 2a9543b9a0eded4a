"""`stepdown serve status`: where each task stands on its way from today's model to its policy."""

from __future__ import annotations

from typing import Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import open_workspace, session


def serve_status(
    project: ProjectOption = HERE,
    since: Annotated[
        str | None, typer.Option(help="From this ISO time on.", show_default="30 days ago")
    ] = None,
    json: JsonOption = False,
) -> None:
    """What is served to whom, what was seen beside it, and what is needed to widen.

    Reads the files of the project, whether or not a gateway runs.
    """
    with session("serve status", json=json) as talk:
        from stepdown.cli.report import check_time
        from stepdown.wiring.serve_status import document, status

        check_time(since)
        found = status(open_workspace(talk, project), since)
        talk.finish(found, document(found))
