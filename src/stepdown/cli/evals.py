"""`stepdown eval`: one eval set, one metric, every tier."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stepdown.cli.options import (
    HERE,
    HtmlOption,
    JsonOption,
    ProjectOption,
    TasksArgument,
    check_rows,
)
from stepdown.cli.session import DONE, NO, Session, open_workspace, session
from stepdown.cli.watching import Watching

if TYPE_CHECKING:
    from stepdown.core.report import Document
    from stepdown.core.task import Task
    from stepdown.wiring.eval_run import Evaluated, How
    from stepdown.wiring.workspace import Workspace


def evaluate(
    tasks: TasksArgument = None,
    *,
    project: ProjectOption = HERE,
    every: Annotated[bool, typer.Option("--all", help="All tasks, as when none is named.")] = False,
    tiers: Annotated[str, typer.Option(help="Only these tiers, by commas.")] = "",
    rows: Annotated[
        str, typer.Option(help="Which rows: tune, certify, train, held-out (tune+certify), all.")
    ] = "tune",
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many rows.")] = None,
    repeat: Annotated[
        int, typer.Option(min=1, max=1000, help="Ask each sample so many times.")
    ] = 1,
    max_usd: Annotated[
        float | None, typer.Option(min=0.0, help="Stop before more than this is spent.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Calls in flight to a server.", show_default="8"),
    ] = None,
    family: Annotated[
        bool, typer.Option("--family", help="Divide delta among the tasks that are run.")
    ] = False,
    allow_unknown_cost: Annotated[
        bool,
        typer.Option("--allow-unknown-cost", help="With --max-usd: ask tiers without a price too."),
    ] = False,
    html: HtmlOption = None,
    json: JsonOption = False,
) -> None:
    """Measure every tier on one set: the floor, the ceiling, the smallest tier that passes.

    Every tier answers the same rows and is scored by the task's one metric. Finished calls are
    kept: an interrupted run goes on where it stopped and pays for nothing twice. The certify rows
    are best left alone until `stepdown certify`: what you see there can no longer surprise you.
    """
    with session("eval", json=json) as talk:
        from stepdown.errors import InputError
        from stepdown.evals.purse import Purse
        from stepdown.wiring import eval_report
        from stepdown.wiring.eval_run import How, check_bounded
        from stepdown.wiring.evaluating import PARTS

        check_rows(rows)
        if every and tasks:
            raise InputError("--all and a task's name exclude each other.", "Use one of them.")
        names = [n for n in tiers.split(",") if n]
        workspace = open_workspace(talk, project, names)
        chosen = workspace.tasks(tasks or ())
        if max_usd is not None and not allow_unknown_cost:
            check_bounded(workspace, chosen, names)
        with Watching(talk.err) as watch:
            how = How(
                tiers=names,
                limit=limit,
                repeat=repeat,
                at_once=concurrency,
                purse=Purse(max_usd),
                tasks_together=len(chosen) if family else 1,
                watch=watch,
            )
            found = asyncio.run(_run(workspace, chosen, PARTS[rows], how))
        _warn(talk, workspace, found)
        document = eval_report.document(workspace, found, PARTS[rows])
        _write(talk, html, document)
        runs = {one.task.name: one.head.digest for one in found}
        judges = {one.task.name: one.judge for one in found if one.judge is not None}
        kinds = {one.task.name: one.kinds.figures for one in found}
        vectors = {one.task.name: one.vectors for one in found if one.vectors is not None}
        summaries = [one.summary for one in found]
        data = {"tasks": summaries, "kinds": kinds, "runs": runs}
        data |= {"judges": judges, "vectors": vectors}
        talk.finish(data, document, DONE if _complete(found) else NO)


async def _run(
    workspace: Workspace, tasks: Sequence[Task], parts: Sequence[str], how: How
) -> list[Evaluated]:
    from stepdown.wiring.eval_run import evaluate as run

    try:
        return [await run(workspace, task, parts=parts, how=how) for task in tasks]
    finally:
        await workspace.aclose()


def _complete(found: Sequence[Evaluated]) -> bool:
    """Say whether no tier ran out of money; one that was given up is an answer about that tier."""
    return all(run.stopped is None or run.dead for one in found for run in one.runs)


def _warn(talk: Session, workspace: Workspace, found: Sequence[Evaluated]) -> None:
    from stepdown.wiring.eval_report import untrained_notes

    for one in found:
        name = one.task.name
        talk.warnings += [f"{name}: {note}" for note in untrained_notes(workspace, one.task)]
        for run in one.runs:
            if run.stopped is not None:
                talk.warn(f"{name}: {run.tier} was stopped: {run.stopped}")


def _write(talk: Session, html: Path | None, document: Document) -> None:
    if html is not None:
        from stepdown.adapters.render.html import write_html

        write_html(html, document)
        talk.say(f"Wrote {html}")
