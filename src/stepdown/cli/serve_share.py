"""`stepdown serve share`: how much of a task's traffic its policy answers, while it is served."""

from __future__ import annotations

from typing import Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import open_workspace, session
from stepdown.cli.signing import ByOption, signed


def serve_share(
    shares: Annotated[
        list[str],
        typer.Argument(metavar="TASK=SHARE...", help="0.05, 20%, `all`, `shadow` or `today`."),
    ],
    by: ByOption = None,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Let the policy answer a share of a task's traffic; today's model answers the rest.

    A running gateway follows within a second, and so does the next one: it holds until it is
    changed again. Sessions stay where they are: a larger share only adds to those who are in.
    """
    with session("serve share", json=json) as talk:
        from stepdown.wiring.changing import change_shares, read_shares

        workspace = open_workspace(talk, project)
        changes = change_shares(workspace, read_shares(workspace, shares), signed(by))
        for one in changes:
            talk.print(f"{one.task}: {one.before} -> {one.after}")
        talk.finish({"changes": changes})
