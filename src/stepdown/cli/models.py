"""`stepdown models`: weights that can be fetched, and artifacts that were trained."""

from __future__ import annotations

from typing import Annotated

import typer

from stepdown.cli import (
    models_check,
    models_export,
    models_promote,
    models_prune,
    models_try,
    models_verify,
)
from stepdown.cli.options import HERE, JsonOption, ProjectOption, TasksArgument
from stepdown.cli.session import DONE, NO, open_workspace, session

app = typer.Typer(
    help="Model files: fetch, list, promote, go back, verify, check, try.", no_args_is_help=True
)


@app.command("pull")
def pull(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Names of the catalogue, hf:ORG/REPO/FILE@REV sha256=…, path:FILE."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Fetch model weights into the cache and check their digest; no dependency is installed."""
    with session("models pull", json=json) as talk:
        from stepdown.adapters.weights.pull import pull as fetch
        from stepdown.wiring.environment import Environment

        cache = Environment.current().cache
        wanted = sources or ["all-minilm-l6-v2", "smollm2-135m-instruct"]
        found = {}
        for source in wanted:
            talk.say(f"{source} …")
            found[source] = str(fetch(source, cache))
            talk.print(f"{source}: {found[source]}")
        talk.finish({"files": found})


@app.command("list")
def listed(
    tasks: TasksArgument = None, project: ProjectOption = HERE, json: JsonOption = False
) -> None:
    """List what is registered: task, tier, state, score with its interval, size, digest, parent."""
    with session("models list", json=json) as talk:
        from stepdown.wiring import models_report

        workspace = open_workspace(talk, project)
        wanted = {task.name for task in workspace.tasks(tasks or ())} if tasks else None
        every = workspace.models.registry.all()
        found = tuple(a for a in every if wanted is None or a.task in wanted)
        talk.finish({"artifacts": found}, models_report.listed(found))


@app.command("show")
def show(
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help="Or its first digits.")],
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Show one artifact: its figures, its files, its parents, who pins it, what was done to it."""
    with session("models show", json=json) as talk:
        from stepdown.wiring import lifecycle, models_report
        from stepdown.wiring.artifact_files import problems_of

        workspace = open_workspace(talk, project)
        registry = workspace.models.registry
        found = registry.find(digest)
        data = {
            "artifact": found,
            "parents": [a.digest for a in registry.shelf().ancestors(found)],
            "pinned_by": lifecycle.used_by(found, lifecycle.locks_of(workspace)),
            "problems": problems_of(registry.folder, found),
            "history": [e for e in registry.history() if found.digest in (e.digest, e.before)],
        }
        talk.finish(data, models_report.shown(workspace, found), NO if data["problems"] else DONE)


app.command("promote")(models_promote.promote)
app.command("rollback")(models_promote.rollback)
app.command("prune")(models_prune.prune)
app.command("verify")(models_verify.verify)
app.command("check")(models_check.check)
app.command("try")(models_try.attempt)
app.command("export")(models_export.export)
app.command("import")(models_export.take_in)
