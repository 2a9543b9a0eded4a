"""`stepdown eval`: one eval set, one metric, every tier."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from stepdown.cli.options import (
    HERE,
    HtmlOption,
    JsonOption,
    ProjectOption,
    TasksArgument,
    check_rows,
)
from stepdown.cli.session import Watching, open_workspace, session


def evaluate(
    tasks: TasksArgument = None,
    project: ProjectOption = HERE,
    tiers: Annotated[str, typer.Option(help="Only these tiers, by commas.")] = "",
    rows: Annotated[
        str, typer.Option(help="Which rows: tune, certify, train, held-out (tune+certify), all.")
    ] = "tune",
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many rows.")] = None,
    html: HtmlOption = None,
    json: JsonOption = False,
) -> None:
    """Measure every tier on one set: the floor, the ceiling, the smallest tier that passes.

    Every tier answers the same rows and is scored by the task's one metric. Finished calls are
    kept: an interrupted run goes on where it stopped and pays for nothing twice. The certify rows
    are best left alone until `stepdown certify`: what you see there can no longer surprise you.
    """
    with session("eval", json=json) as talk:
        from stepdown.wiring import evaluating

        check_rows(rows)
        workspace = open_workspace(talk, project)
        names = [name for name in tiers.split(",") if name]
        with Watching(talk) as watch:
            found = asyncio.run(_run(workspace, tasks, rows, names, limit, watch))
        for one in found:
            notes = evaluating.untrained_notes(workspace, one.task)
            talk.warnings += [f"{one.task.name}: {note}" for note in notes]
        document = evaluating.document(workspace, found, evaluating.PARTS[rows])
        _write(talk, html, document)
        talk.finish({"tasks": [one.summary for one in found]}, document)


async def _run(
    workspace: Any, tasks: Any, rows: str, tiers: list[str], limit: int | None, watch: Any
) -> Any:
    from stepdown.wiring import evaluating

    try:
        return [
            await evaluating.evaluate(
                workspace,
                task,
                parts=evaluating.PARTS[rows],
                tiers=tiers,
                limit=limit,
                watch=watch,
            )
            for task in workspace.tasks(tasks or ())
        ]
    finally:
        await workspace.aclose()


def _write(talk: Any, html: Path | None, document: Any) -> None:
    if html is not None:
        from stepdown.adapters.render.html import write_html

        write_html(html, document)
        talk.say(f"Wrote {html}")
