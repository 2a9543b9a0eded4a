"""`stepdown models export` and `import`: an artifact as a bundle with checksums."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import open_workspace, session
from stepdown.cli.signing import ByOption, signed


def export(
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help="Or its first digits.")],
    to: Annotated[Path, typer.Argument(metavar="DIR|FILE.tar[.gz]", help="Where to.")],
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Write an artifact with its card, suite and licences as a folder or tar, with checksums."""
    with session("models export", json=json) as talk:
        from stepdown.wiring.artifact_bundle import SUITE, export_artifact

        workspace = open_workspace(talk, project)
        artifact = workspace.models.registry.find(digest)
        names = export_artifact(workspace, artifact, to)
        if SUITE in names:
            talk.say("Its suite holds texts of your rows where the task has store = full.")
        for name in names:
            talk.print(name)
        talk.finish({"to": str(to), "files": names, "artifact": artifact})


def take_in(
    bundle: Annotated[Path, typer.Argument(metavar="DIR|FILE.tar[.gz]", help="What was exported.")],
    by: ByOption = None,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Register an exported artifact as a candidate, once every file has its checksum."""
    with session("models import", json=json) as talk:
        from stepdown.wiring.artifact_bundle import import_artifact

        workspace = open_workspace(talk, project)
        artifact = import_artifact(workspace, bundle, signed(by))
        known = workspace.project
        if artifact.task not in known.tasks or artifact.tier not in known.tiers:
            talk.warn(f"The project has no task {artifact.task!r} with a tier {artifact.tier!r}.")
        talk.print(f"Registered {artifact.task} {artifact.tier} {artifact.short} as a candidate.")
        talk.say(f"Next: stepdown models promote {artifact.short}")
        talk.finish({"artifact": artifact})
