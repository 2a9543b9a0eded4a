"""`stepdown outcomes`: write the outcome table of a task's tiers to a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption, TasksArgument, check_rows
from stepdown.cli.session import open_workspace, session
from stepdown.cli.watching import Watching


def outcomes(
    tasks: TasksArgument = None,
    to: Annotated[Path, typer.Option("--to", help="Where to: .parquet, .csv or .jsonl.")] = Path(
        "outcomes.parquet"
    ),
    tiers: Annotated[str, typer.Option(help="Only these tiers, by commas.")] = "",
    rows: Annotated[str, typer.Option(help="tune, certify, train, held-out or all.")] = "all",
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Run tiers on rows and write query_id, tier, score, cost_usd, latency_s, signals, answer.

    One file a task when several are named: TASK is put before the ending.
    """
    with session("outcomes", json=json) as talk:
        from stepdown.adapters.tables.rows import kind_of

        check_rows(rows)
        kind_of(to)
        workspace = open_workspace(talk, project)
        named = [name for name in tiers.split(",") if name]
        _check_tiers(workspace.tasks(tasks or ()), named)
        with Watching(talk.err) as watch:
            written = asyncio.run(_run(workspace, tasks, named, rows, to, watch))
        for path, n in written.items():
            talk.print(f"{path}: {n} outcomes")
        talk.finish({"files": written})


def _check_tiers(tasks: Any, named: list[str]) -> None:
    """Refuse a tier that none of the tasks has, before anything is run."""
    from stepdown.errors import InputError

    known = list(dict.fromkeys(tier for task in tasks for tier in task.tiers))
    for name in named:
        if name not in known:
            raise InputError(f"--tiers: there is no tier {name!r}.", f"Use {', '.join(known)}.")


async def _run(
    workspace: Any, tasks: Any, tiers: list[str], rows: str, to: Path, watch: Any
) -> dict[str, int]:
    from stepdown.adapters.tables.outcome_files import write_outcomes
    from stepdown.wiring import evaluating
    from stepdown.wiring.buying import further
    from stepdown.wiring.second_pass import as_asked, scored_outcomes

    written = {}
    wanted = workspace.tasks(tasks or ())
    try:
        for task in wanted:
            samples = evaluating.samples_in(workspace, task, evaluating.PARTS[rows])
            found: list[Any] = []
            asked = as_asked(task, samples)
            for tier in [name for name in task.tiers if not tiers or name in tiers]:
                result = await evaluating.run_one(workspace, task, tier, asked, watch)
                found += result.outcomes
            if not tiers:
                found += await further(workspace, task, asked, found, watch)
            found = list((await scored_outcomes(workspace, task, samples, found, watch))[0])
            path = to if len(wanted) == 1 else to.with_name(f"{to.stem}.{task.name}{to.suffix}")
            write_outcomes(path, found)
            written[str(path)] = len(found)
    finally:
        await workspace.aclose()
    return written
