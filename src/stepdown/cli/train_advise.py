"""`stepdown train advise`: for which tasks would fine-tuning pay."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption, TasksArgument
from stepdown.cli.session import DONE, session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepdown.core.task import Task
    from stepdown.train.advising import Advice
    from stepdown.wiring.advising import Told
    from stepdown.wiring.workspace import Workspace


def train_advise(
    tasks: TasksArgument = None,
    *,
    calls_per_month: Annotated[
        float | None,
        typer.Option(min=0.0, help="Volume of each task.", show_default="by the ledger"),
    ] = None,
    fixed_usd: Annotated[
        float | None, typer.Option(min=0.0, help="What a training would cost, hosting included.")
    ] = None,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Say for each task whether fine-tuning pays, with every figure used and every unknown.

    Volume, format, jargon, the gap between the floor and the best small tier, and after how many
    calls a training is paid for. Asks no model and needs no key: it reads what evals kept.
    """
    with session("train advise", json=json) as talk:
        from stepdown.wiring.advice_report import as_data, document
        from stepdown.wiring.advising import Told
        from stepdown.wiring.keyless import Keyless

        workspace = Keyless.open(project)
        chosen = [task for task in workspace.tasks(tasks or ()) if task.kind != "embed"]
        told = Told(calls_month=calls_per_month, fixed_usd=fixed_usd)
        found = asyncio.run(_advise(workspace, chosen, told))
        talk.finish({"tasks": [as_data(one) for one in found]}, document(found), DONE)


async def _advise(workspace: Workspace, tasks: Sequence[Task], told: Told) -> list[Advice]:
    from stepdown.wiring.advising import advise_task

    try:
        return [await advise_task(workspace, task, told) for task in tasks]
    finally:
        await workspace.aclose()
