"""`stepdown train`: a narrow expert from the project's own rows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption, TasksArgument
from stepdown.cli.session import Session, open_workspace, session
from stepdown.cli.training_watch import TrainingWatch

if TYPE_CHECKING:
    from stepdown.core.task import Task
    from stepdown.wiring.training import Finished, Trained, Want
    from stepdown.wiring.training_set import Gathered
    from stepdown.wiring.workspace import Workspace


def train(
    tasks: TasksArgument = None,
    *,
    project: ProjectOption = HERE,
    recipe: Annotated[
        str,
        typer.Option(help="head, ... or auto (all, the cheapest first).", show_default="its own"),
    ] = "",
    tier: Annotated[str, typer.Option(help="Only this tier of the task.")] = "",
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Train for so long at most.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Promote without asking.")] = False,
    no_register: Annotated[
        bool, typer.Option("--no-register", help="Only show what it is worth.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train narrow experts from your own rows, prove them on rows that they never saw.

    Shows the card of the training set, trains, evaluates on the tune rows by the eval harness, and
    puts the new tier beside the old ones. What is promoted answers from then on; without a
    terminal it is kept as a candidate where an older one is promoted. Nothing leaves this machine.
    """
    with session("train", json=json) as talk:
        from stepdown.wiring.recipes import check_recipe
        from stepdown.wiring.training_report import document

        check_recipe(recipe or "head")
        workspace = open_workspace(talk, project)
        wants = _wants(workspace, workspace.tasks(tasks or ()), recipe, tier)
        asks = _Asking(talk, yes=yes, no_register=no_register)
        with TrainingWatch(talk.err) as watch:
            found = asyncio.run(_run(workspace, wants, watch, asks, minutes))
        cards = [gathered.card for gathered, _ in found]
        trained = [one for _, several in found for one in several]
        talk.finish({"cards": cards, "experts": trained}, document(trained))


def _wants(workspace: Workspace, tasks: Sequence[Task], recipe: str, tier: str) -> list[list[Want]]:
    """Return what to train, by task."""
    from stepdown.errors import InputError
    from stepdown.wiring.training import wanted

    found = [list(wanted(workspace, task, recipe, tier)) for task in tasks]
    if not any(found):
        raise InputError(
            "No task has a tier to train.", 'Add a tier with model = "head:static-minilm-256".'
        )
    return [wants for wants in found if wants]


class _Asking:
    """Whether to promote: what the options say, else a person at a terminal."""

    def __init__(self, talk: Session, *, yes: bool, no_register: bool) -> None:
        self.talk, self.yes, self.no_register = talk, yes, no_register

    def __call__(self, workspace: Workspace, finished: Finished) -> bool | None:
        """Return true to promote, false for a candidate, None to register nothing."""
        if self.no_register or self.yes:
            return None if self.no_register else True
        want = finished.want
        first = workspace.models.registry.promoted(want.task.name, want.tier.name) is None
        if self.talk.json or not sys.stdin.isatty():
            return first
        return typer.confirm(
            f"Promote it for {want.task.name}, tier {want.tier.name}?", default=first, err=True
        )


async def _run(
    workspace: Workspace,
    wants: Sequence[Sequence[Want]],
    watch: TrainingWatch,
    asks: Any,
    minutes: float | None,
) -> list[tuple[Gathered, list[Trained]]]:
    from stepdown.wiring.pinning import pin_artifact
    from stepdown.wiring.training import run, settle
    from stepdown.wiring.training_set import gather

    found: list[tuple[Gathered, list[Trained]]] = []
    seconds = None if minutes is None else 60 * minutes
    try:
        for group in wants:
            gathered = gather(workspace, group[0].task)
            mine: list[Trained] = []
            for want in group:
                watch.about(want.task.name, want.tier.name)
                finished = await run(
                    workspace, want, gathered, seconds=seconds, step=watch.step, watch=watch
                )
                done = settle(workspace, finished, promote=asks(workspace, finished))
                if done.artifact is not None:
                    await pin_artifact(workspace, done.artifact)
                mine.append(done)
            found.append((gathered, mine))
    finally:
        await workspace.aclose()
    return found
