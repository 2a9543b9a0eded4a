"""`stepdown models check`: new versions, announced ends, changed models and old prices."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import DONE, NO, open_workspace, session

if TYPE_CHECKING:
    from stepdown.wiring.model_check import Checked, How
    from stepdown.wiring.workspace import Workspace


def check(
    source: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="More ends, or a saved /v1/models answer."),
    ] = None,
    within: Annotated[
        int, typer.Option(min=0, help="Days ahead in which an announced end must be dealt with.")
    ] = 60,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no provider; needs no key.")
    ] = False,
    no_canaries: Annotated[
        bool, typer.Option("--no-canaries", help="Ask lists, and no model.")
    ] = False,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Say which models end, changed, or have a newer version, and which prices are old.

    Looks into the ends that ship with the program, files of yours, the price list, and the lists
    of the providers with the tiers' keys; verifies what the lock pins. Says what was not asked.
    Exit code 1 when something must change.
    """
    with session("models check", json=json) as talk:
        from stepdown.wiring.check_models_report import document
        from stepdown.wiring.model_check import How

        if offline:
            from stepdown.wiring.keyless import Keyless

            workspace: Workspace = Keyless.open(project)
        else:
            workspace = open_workspace(talk, project)
        how = How(
            files=tuple(source or ()),
            offline=offline,
            canaries=not no_canaries,
            within_days=within,
        )
        found = asyncio.run(_check(workspace, how))
        talk.finish(found, document(found), NO if found.must else DONE)


async def _check(workspace: Workspace, how: How) -> Checked:
    from stepdown.wiring.model_check import check as run

    try:
        return await run(workspace, how)
    finally:
        await workspace.aclose()
