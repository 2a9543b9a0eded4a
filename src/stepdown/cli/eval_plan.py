"""`stepdown eval plan`: what an eval needs and costs, before anything is spent."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption, TasksArgument, check_rows
from stepdown.cli.session import DONE, session

WHAT_IF = "What if (instead of kept calls)"


def _share(text: str) -> Any:
    return typer.Option(min=0.0, max=1.0, help=text, rich_help_panel=WHAT_IF)


def eval_plan(
    tasks: TasksArgument = None,
    project: ProjectOption = HERE,
    *,
    tiers: Annotated[str, typer.Option(help="Only these tiers, by commas.")] = "",
    rows: Annotated[
        str, typer.Option(help="Which rows: tune, certify, train, held-out (tune+certify), all.")
    ] = "tune",
    power: Annotated[
        float, typer.Option(min=0.5, max=0.99, help="Wanted chance that a good tier passes.")
    ] = 0.8,
    score: Annotated[float | None, _share("Score of the smaller tier.")] = None,
    ceiling: Annotated[float | None, _share("Score of the ceiling.")] = None,
    discordance: Annotated[
        float | None, _share("Share of rows on which one is right and the other wrong.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say how many labelled rows the decision needs, what the run costs, and how long it takes.

    Nothing is called and no key is needed. What is thought of a tier comes from calls that earlier
    runs kept, or is assumed and said so; --score, --ceiling and --discordance say it yourself.
    """
    with session("eval plan", json=json) as talk:
        from stepdown.wiring.eval_plan_report import as_data, document
        from stepdown.wiring.eval_planning import Assumed, check_tiers, plan_eval
        from stepdown.wiring.evaluating import PARTS
        from stepdown.wiring.keyless import Keyless

        check_rows(rows)
        workspace = Keyless.open(project)
        names = [name for name in tiers.split(",") if name]
        chosen = workspace.tasks(tasks or ())
        for task in chosen:
            check_tiers(task, names)
        assumed = Assumed(score=score, ceiling=ceiling, discordance=discordance)
        try:
            found = [
                plan_eval(
                    workspace, task, parts=PARTS[rows], assumed=assumed, tiers=names, power=power
                )
                for task in chosen
            ]
        finally:
            asyncio.run(workspace.aclose())
        talk.finish({"tasks": [as_data(one) for one in found]}, document(found), DONE)
