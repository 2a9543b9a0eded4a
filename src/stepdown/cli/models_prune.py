"""`stepdown models prune`: delete artifacts that nobody can need."""

from __future__ import annotations

from typing import Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import open_workspace, session
from stepdown.cli.signing import ByOption, signed


def prune(
    keep: Annotated[
        int, typer.Option(min=0, help="Retired artifacts of each tier that stay, newest first.")
    ] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    by: ByOption = None,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Delete retired artifacts that no lock pins, and that are not the parent of what serves."""
    with session("models prune", json=json) as talk:
        from stepdown.wiring import lifecycle
        from stepdown.wiring.models_report import size_text

        workspace = open_workspace(talk, project)
        found = lifecycle.prunable(workspace, keep)
        if not dry_run:
            lifecycle.prune(workspace, found, signed(by))
        done = "Would delete" if dry_run else "Deleted"
        for a in found:
            talk.print(f"{done} {a.task} {a.tier} {a.short} ({size_text(a.size_bytes)})")
        if not found:
            talk.print("Nothing to delete.")
        talk.finish({"pruned": found, "dry_run": dry_run})
