"""`stepdown train`: a narrow expert from the train rows."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption, TasksArgument
from stepdown.cli.session import open_workspace, session
from stepdown.cli.watching import Watching


def train(
    tasks: TasksArgument = None,
    project: ProjectOption = HERE,
    tier: Annotated[str, typer.Option(help="Only this tier of the task.")] = "",
    json: JsonOption = False,
) -> None:
    """Fit narrow experts: a linear head on local sentence embeddings, temperature-scaled.

    Trains on the train rows, evaluates on the tune rows by the eval harness, registers the file
    under models/ by its digest. Tasks without labels are passed over. Takes seconds to minutes on
    a CPU; nothing leaves this machine.
    """
    with session("train", json=json) as talk:
        from stepdown.errors import InputError
        from stepdown.wiring import training

        workspace = open_workspace(talk, project)
        wanted = [task for task in workspace.tasks(tasks or ()) if tasks or task.labels]
        with Watching(talk.err) as watch:
            found = asyncio.run(_run(workspace, wanted, tier, watch))
        if not found:
            raise InputError(
                "No task has a tier to train.", 'Add a tier with model = "head:static-minilm-256".'
            )
        talk.finish({"experts": found}, training.document(found))


async def _run(workspace: Any, tasks: Any, tier: str, watch: Any) -> Any:
    from stepdown.wiring import training

    try:
        return [
            await training.train(workspace, task, one, watch)
            for task in tasks
            for one in training.trainable(workspace, task, [tier] if tier else ())
        ]
    finally:
        await workspace.aclose()
