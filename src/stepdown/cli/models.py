"""`stepdown models`: weights and trained experts."""

from __future__ import annotations

from typing import Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import open_workspace, session

app = typer.Typer(
    help="Weights that can be fetched, and experts that were trained.", no_args_is_help=True
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
def listed(project: ProjectOption = HERE, json: JsonOption = False) -> None:
    """List the experts of a project: task, tier, digest, state."""
    with session("models list", json=json) as talk:
        from stepdown.core.report import Column, Document, Section, Table

        workspace = open_workspace(talk, project)
        found = workspace.models.registry.all()
        columns = (
            Column("task"),
            Column("tier"),
            Column("state"),
            Column("date"),
            Column("digest"),
        )
        rows = tuple(
            (a.task, a.tier, a.state, a.date, a.digest.removeprefix("sha256:")[:12]) for a in found
        )
        table = Table(title="Experts", columns=columns, rows=rows)
        document = Document(title="Models", sections=(Section("Experts", (table,)),))
        talk.finish({"artifacts": found}, document)
