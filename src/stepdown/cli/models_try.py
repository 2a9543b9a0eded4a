"""`stepdown models try`: a new model beside the old one, before anything is changed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepdown.cli.options import HERE, HtmlOption, JsonOption, ProjectOption
from stepdown.cli.session import DONE, open_workspace, session
from stepdown.cli.watching import Watching

if TYPE_CHECKING:
    from stepdown.core.task import Task
    from stepdown.wiring.trying import Tried, Wish
    from stepdown.wiring.workspace import Workspace


def attempt(
    new: Annotated[
        str,
        typer.Argument(metavar="NEW", help="A model (`openai:NAME`), a tier, or a digest."),
    ],
    *,
    task: Annotated[str, typer.Option("--task", "-t", help="The task to try it for.")],
    against: Annotated[
        str,
        typer.Option(
            help="The tier to compare with.", show_default="the first that the lock calls"
        ),
    ] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many tune rows.")] = None,
    name: Annotated[
        str, typer.Option(help="Name of the new tier.", show_default="its model's")
    ] = "",
    base_url: Annotated[str, typer.Option(help="Address of its server, for a model.")] = "",
    api_key_env: Annotated[str, typer.Option(help="Variable that holds its key.")] = "",
    priced_as: Annotated[str, typer.Option(help="PROVIDER/MODEL of the price list.")] = "",
    as_ceiling: Annotated[
        bool, typer.Option("--as-ceiling", help="In place of today's ceiling, not below it.")
    ] = False,
    no_rehearsal: Annotated[
        bool, typer.Option("--no-rehearsal", help="Compare the two, and no policies.")
    ] = False,
    add: Annotated[
        bool, typer.Option("--add", help="Then write the tier into stepdown.toml.")
    ] = False,
    html: HtmlOption = None,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Put a new model beside the old one on the tune rows: score, cost, what certify may find.

    Nothing is changed: neither stepdown.toml nor the lock, and the certify rows are not looked at.
    Its answers are kept, so that a later eval does not pay for them again. --add writes the tier.
    """
    with session("models try", json=json) as talk:
        from stepdown.wiring.try_report import document
        from stepdown.wiring.trying import Wish

        workspace = open_workspace(talk, project)
        chosen = workspace.project.task(task)
        said = {"base_url": base_url, "api_key_env": api_key_env, "priced_as": priced_as}
        wish = Wish(
            new=new,
            against=against,
            keys={key: value for key, value in said.items() if value},
            name=name,
            as_ceiling=as_ceiling,
            limit=limit,
            rehearse=not no_rehearsal,
        )
        with Watching(talk.err) as watch:
            found = asyncio.run(_try(workspace, chosen, wish, watch))
        if add:
            _add(talk, workspace, chosen, found)
        page = document(workspace, found)
        if html is not None:
            from stepdown.adapters.render.html import write_html

            write_html(html, page)
        talk.finish({"tried": found, "added": add and found.tier is not None}, page, DONE)


async def _try(workspace: Workspace, task: Task, wish: Wish, watch: Watching) -> Tried:
    from stepdown.wiring.trying import try_model

    try:
        return await try_model(workspace, task, wish, watch)
    finally:
        await workspace.aclose()


def _add(talk: Any, workspace: Workspace, task: Task, found: Tried) -> None:
    from stepdown.wiring.tier_writing import write_tier

    if found.tier is None:
        talk.warn("Nothing to add: the task has this tier; an artifact is promoted instead.")
        return
    write_tier(workspace.project.root, task, found.tier)
    talk.say(f"Wrote [tiers.{found.tier.name}]. Next: stepdown certify {task.name}")
