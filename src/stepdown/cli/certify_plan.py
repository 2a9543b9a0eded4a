"""`stepdown certify plan`: how many rows and labels a promise needs, before they are bought."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption, TasksArgument
from stepdown.cli.session import DONE, Session, Watching, open_workspace, session
from stepdown.errors import InputError


def certify_plan(
    tasks: TasksArgument = None,
    project: ProjectOption = HERE,
    kept: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="What if: share that cheaper tiers answer."),
    ] = None,
    disagree: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="What if: share of those unlike the ceiling's.")
    ] = 0.1,
    loss: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="What if: share of those that score less.")
    ] = 0.01,
    gain: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="What if: share of those that score more.")
    ] = 0.01,
    score: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="What if: mean score of all answers.")
    ] = 0.95,
    json: JsonOption = False,
) -> None:
    """Say how many rows and labels would decide, by the test that certify runs.

    By the rates of the tune rows; the certify rows are counted and not looked at, so nothing is
    spent. With --kept no tier is run: the answer is for the rates that you assume.
    """
    with session("certify plan", json=json) as talk:
        from stepdown.wiring.planned import as_data, document

        workspace = open_workspace(talk, project)
        chosen = workspace.tasks(tasks or ())
        if kept is None:
            found = _by_tune(talk, workspace, chosen)
        else:
            found = _what_if(chosen, kept, disagree, loss, gain, score)
        talk.finish({"tasks": [as_data(one) for one in found]}, document(found), DONE)


def _by_tune(talk: Session, workspace: Any, tasks: Any) -> list[Any]:
    from stepdown.wiring.planned import planned

    async def run() -> list[Any]:
        try:
            return [await planned(workspace, task, watch) for task in tasks]
        finally:
            await workspace.aclose()

    with Watching(talk) as watch:
        return asyncio.run(run())


def _what_if(
    tasks: Any, kept: float, disagree: float, loss: float, gain: float, score: float
) -> list[Any]:
    from stepdown.certify.forecast import Rates
    from stepdown.wiring.planned import assumed

    if loss + gain > disagree:
        raise InputError(
            f"--loss {loss:g} and --gain {gain:g} exceed --disagree {disagree:g}.",
            "Equal answers have equal scores, so only answers that differ can lose or gain.",
        )
    rates = Rates(kept=kept, disagree=disagree, loss=loss, gain=gain, score=score, delivered=score)
    return [assumed(task, rates) for task in tasks]
