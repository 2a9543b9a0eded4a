"""`stepdown certify`: the cheapest policy that keeps the promise, and the lock."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from stepdown.cli.options import HERE, HtmlOption, JsonOption, ProjectOption, TasksArgument
from stepdown.cli.session import DONE, NO, Watching, open_workspace, session


def certify(
    tasks: TasksArgument = None,
    project: ProjectOption = HERE,
    outcomes: Annotated[
        Path | None,
        typer.Option(help="An outcome table (Parquet, CSV, JSONL) instead of running the tiers."),
    ] = None,
    relook: Annotated[
        bool,
        typer.Option(help="Test again on rows already looked at; the lock states the added risk."),
    ] = False,
    html: HtmlOption = None,
    json: JsonOption = False,
) -> None:
    """Find at which confidence a smaller tier may keep the answer, so that the promise holds.

    Searches policies on the tune rows and tests them on the certify rows, which chose nothing.
    Writes stepdown.lock. When nothing passes it says so, says how many labels would decide, and
    locks the ceiling tier. Exit code 1: at least one promise could not be certified.
    """
    with session("certify", json=json) as talk:
        from stepdown.wiring import certifying
        from stepdown.wiring.certified import as_data, document
        from stepdown.wiring.reporting import save_certified

        workspace = open_workspace(talk, project)
        with Watching(talk) as watch:
            found = asyncio.run(_run(workspace, tasks, outcomes, relook, watch))
        certifying.write(workspace, found)
        report = document(workspace, found)
        save_certified(workspace.project, report)
        if html is not None:
            from stepdown.adapters.render.html import write_html

            write_html(html, report)
        talk.say(f"Wrote {workspace.project.lock_path}")
        sure = all(one.state != "ceiling" for one in found)
        talk.finish({"tasks": [as_data(one) for one in found]}, report, DONE if sure else NO)


async def _run(workspace: Any, tasks: Any, outcomes: Path | None, relook: bool, watch: Any) -> Any:
    from stepdown.adapters.tables.outcome_files import read_outcomes
    from stepdown.wiring import certifying

    rows = read_outcomes(outcomes) if outcomes is not None else None
    found = []
    try:
        for task in workspace.tasks(tasks or ()):
            if rows is None:
                gathered = await certifying.gather(workspace, task, watch)
            else:
                gathered = certifying.divide(workspace, task, rows)
            found.append(certifying.certify(workspace, task, gathered, relook=relook))
    finally:
        await workspace.aclose()
    return found
