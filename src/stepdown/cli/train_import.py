"""`stepdown train import`: what another trainer made, as a tier."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import Session, open_workspace, session
from stepdown.cli.watching import Watching

if TYPE_CHECKING:
    from stepdown.wiring.eval_run import Evaluated
    from stepdown.wiring.workspace import Workspace


def train_import(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Such as openai:ft:BASE:ORG::ID.")],
    *,
    task: Annotated[str, typer.Option("--task", "-t", help="The task that it was trained for.")],
    name: Annotated[str, typer.Option(help="Name of the tier.", show_default="its model's")] = "",
    base_url: Annotated[str, typer.Option(help="Address of its server (vLLM, llama.cpp).")] = "",
    api_key_env: Annotated[str, typer.Option(help="Variable that holds its key.")] = "",
    priced_as: Annotated[str, typer.Option(help="PROVIDER/MODEL of the price list.")] = "",
    usd_in: Annotated[
        float | None, typer.Option(min=0.0, help="Dollars a million input tokens.")
    ] = None,
    usd_out: Annotated[
        float | None, typer.Option(min=0.0, help="Dollars a million output tokens.")
    ] = None,
    before: Annotated[
        str, typer.Option(help="The tier to put it in front of.", show_default="the ceiling")
    ] = "",
    card: Annotated[
        Path | None, typer.Option(help="Folder of the export: its prompt becomes the tier's.")
    ] = None,
    evaluate: Annotated[
        bool, typer.Option("--eval", help="Then measure it on the tune rows; that may cost.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="With --eval: at most so many.")] = None,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Write a model that was trained elsewhere into stepdown.toml as a tier of its task.

    Your comments stay. With the card of its export, the tier gets the prompt that it was trained
    with. A server that is given is asked whether it lists the model.
    """
    with session("train import", json=json) as talk:
        from stepdown.wiring.tier_import import Import, take_in

        workspace = open_workspace(talk, project)
        wish = Import(
            model=model, name=name, base_url=base_url, api_key_env=api_key_env,
            priced_as=priced_as, usd_in=usd_in, usd_out=usd_out, before=before, card=card,
        )  # fmt: skip
        done = take_in(workspace, workspace.project.task(task), wish)
        for note in done.notes:
            talk.warn(note)
        talk.print(f"Wrote [tiers.{done.tier}] and put it into tasks.{done.task}.")
        if not evaluate:
            talk.say(f"Next: stepdown models try {done.tier} --task {done.task}")
            talk.finish({"imported": done, "summary": None})
        _measure(talk, project, done, limit)


def _measure(talk: Session, project: Path, done: Any, limit: int | None) -> None:
    from stepdown.wiring import eval_report
    from stepdown.wiring.eval_run import How
    from stepdown.wiring.workspace import Workspace

    workspace = Workspace.open(project)
    with Watching(talk.err) as watch:
        how = How(tiers=[done.tier], limit=limit, watch=watch)
        found = asyncio.run(_eval(workspace, done.task, how))
    document = eval_report.document(workspace, [found], ["tune"])
    talk.finish({"imported": done, "summary": found.summary}, document)


async def _eval(workspace: Workspace, task: str, how: Any) -> Evaluated:
    from stepdown.wiring.eval_run import evaluate

    try:
        return await evaluate(workspace, workspace.project.task(task), how=how)
    finally:
        await workspace.aclose()
