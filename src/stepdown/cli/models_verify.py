"""`stepdown models verify`: whether registered files are what they were, and answer alike."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import open_workspace, session
from stepdown.cli.verify import INPUTS, finish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepdown.core.artifact import Artifact
    from stepdown.wiring.verifying import Verdict
    from stepdown.wiring.workspace import Workspace


def verify(
    which: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DIGEST|TASK]...", help="All that is registered when none is."),
    ] = None,
    pin: Annotated[
        bool, typer.Option("--pin", help="First pin suites for those that have none.")
    ] = False,
    inputs: Annotated[int, typer.Option(min=1, max=1000, help="With --pin: inputs each.")] = INPUTS,
    accept_edits: Annotated[
        bool,
        typer.Option("--accept-edits", help="Seal a registry that was merged or edited by hand."),
    ] = False,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Check the digest of every file of every artifact, then its regression suite.

    Exit code 0 all as registered, 1 a file or an answer differs, 2 nothing could be checked.
    """
    with session("models verify", json=json) as talk:
        workspace = open_workspace(talk, project)
        if accept_edits:
            workspace.models.registry.accept_edits()
        chosen = _chosen(workspace, which or [])
        finish(talk, asyncio.run(_run(workspace, chosen, inputs if pin else 0)), "Models")


def _chosen(workspace: Workspace, words: list[str]) -> list[Artifact]:
    registry, found = workspace.models.registry, []
    for word in words:
        mine = [a for a in registry.all() if a.task == word]
        found += mine if word in workspace.project.tasks else [registry.find(word)]
    return found if words else list(registry.all())


async def _run(workspace: Workspace, chosen: list[Artifact], pin: int) -> Sequence[Verdict]:
    from stepdown.wiring.pinning import pin_artifact
    from stepdown.wiring.verifying import verify_artifact

    try:
        for artifact in chosen if pin else ():
            await pin_artifact(workspace, artifact, pin)
        return [await verify_artifact(workspace, artifact) for artifact in chosen]
    finally:
        await workspace.aclose()
