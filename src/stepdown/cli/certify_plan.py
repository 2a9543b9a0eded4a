"""`stepdown certify plan`: how many rows and labels a promise needs, before they are bought."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption, TasksArgument
from stepdown.cli.session import DONE, Session, open_workspace, session
from stepdown.cli.watching import Watching
from stepdown.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepdown.core.task import Task
    from stepdown.wiring.planned import Planned
    from stepdown.wiring.workspace import Workspace

ASSUMED = {"disagree": 0.1, "loss": 0.01, "gain": 0.01, "score": 0.95}  # of a what-if, unless said
WHAT_IF = "What if (no tier is run)"


def _share(text: str, shown: float | None = None) -> typer.models.OptionInfo:
    default = False if shown is None else f"{shown:g}"
    found = typer.Option(min=0.0, max=1.0, help=text, show_default=default, rich_help_panel=WHAT_IF)
    assert isinstance(found, typer.models.OptionInfo)
    return found


def certify_plan(
    tasks: TasksArgument = None,
    project: ProjectOption = HERE,
    kept: Annotated[float | None, _share("Share that cheaper tiers answer.")] = None,
    disagree: Annotated[
        float | None, _share("Share of those unlike the ceiling's.", ASSUMED["disagree"])
    ] = None,
    loss: Annotated[
        float | None, _share("Share of those that score 1 less.", ASSUMED["loss"])
    ] = None,
    gain: Annotated[
        float | None, _share("Share of those that score 1 more.", ASSUMED["gain"])
    ] = None,
    score: Annotated[float | None, _share("Mean score of the answers.", ASSUMED["score"])] = None,
    json: JsonOption = False,
) -> None:
    """Say how many rows and labels would decide, by the test that certify runs.

    By the rates of the tune rows; the certify rows are counted and not looked at, so nothing is
    spent. With --kept no tier is run: the answer is for the rates that you assume.
    """
    with session("certify plan", json=json) as talk:
        from stepdown.wiring.plan_report import as_data, document

        rates = {"disagree": disagree, "loss": loss, "gain": gain, "score": score}
        said = {name: rate for name, rate in rates.items() if rate is not None}
        workspace = open_workspace(talk, project)
        chosen = workspace.tasks(tasks or ())
        if kept is None:
            _refuse_alone(said)
            found = _by_tune(talk, workspace, chosen)
        else:
            found = _what_if(workspace, chosen, kept, {**ASSUMED, **said})
        talk.finish({"tasks": [as_data(one) for one in found]}, document(found), DONE)


def _refuse_alone(said: Mapping[str, float]) -> None:
    if said:
        raise InputError(
            f"--{next(iter(said))} is part of a what-if, which begins with --kept.",
            "Add --kept X, or leave it out: the rates are then those of the tune rows.",
        )


def _by_tune(talk: Session, workspace: Workspace, tasks: Sequence[Task]) -> list[Planned]:
    from stepdown.wiring.planned import planned

    async def run() -> list[Planned]:
        try:
            return [await planned(workspace, task, watch) for task in tasks]
        finally:
            await workspace.aclose()

    with Watching(talk.err) as watch:
        return asyncio.run(run())


def _what_if(
    workspace: Workspace, tasks: Sequence[Task], kept: float, rates: Mapping[str, float]
) -> list[Planned]:
    from stepdown.certify.forecast import Rates
    from stepdown.wiring.planned import assumed

    disagree, loss, gain, score = (rates[name] for name in ASSUMED)
    if loss + gain > disagree:
        raise InputError(
            f"--loss {loss:g} and --gain {gain:g} exceed --disagree {disagree:g}.",
            "Equal answers have equal scores, so only answers that differ can lose or gain.",
        )
    found = Rates(kept=kept, disagree=disagree, loss=loss, gain=gain, score=score, delivered=score)
    return [assumed(workspace, task, found) for task in tasks]
