"""`stepdown train`: a narrow expert from the project's own rows."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption, TasksArgument
from stepdown.cli.session import Session, open_workspace, session
from stepdown.cli.training_watch import TrainingWatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepdown.core.task import Task
    from stepdown.wiring.several_trainings import TaskTraining
    from stepdown.wiring.training import Finished, Want
    from stepdown.wiring.training_set import Gathered, Options
    from stepdown.wiring.workspace import Workspace


def train(
    tasks: TasksArgument = None,
    *,
    project: ProjectOption = HERE,
    recipe: Annotated[
        str,
        typer.Option(
            help="How: one recipe (docs/verbs/train.md), or auto: all, the cheapest first.",
            show_default="the tier's own",
        ),
    ] = "",
    tier: Annotated[str, typer.Option(help="Only this tier of the task.")] = "",
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Train for so long at most.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="Where: local, or ray (a cluster; needs the extra ray).")
    ] = "local",
    also: Annotated[
        Path | None, typer.Option(help="A file of further labelled rows, for training only.")
    ] = None,
    mask: Annotated[
        bool, typer.Option("--mask", help="Hide keys, e-mail addresses, cards, phones in texts.")
    ] = False,
    drop_noise: Annotated[
        bool,
        typer.Option("--drop-noise", help="Drop rows with doubtful labels, if measured to help."),
    ] = False,
    usd: Annotated[
        float | None, typer.Option(min=0, help="What asking tiers may cost (recipe prompt).")
    ] = None,
    rewrite_by: Annotated[
        str,
        typer.Option(metavar="TIER", help="A tier that rewrites the instruction (recipe prompt)."),
    ] = "",
    add_tier: Annotated[
        bool,
        typer.Option("--add-tier", help="Write a tier to train into stepdown.toml first."),
    ] = False,
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
        from stepdown.core.tuned_prompt import PromptTerms
        from stepdown.wiring.engines import check_engine
        from stepdown.wiring.recipes import check_recipe
        from stepdown.wiring.training_report import document
        from stepdown.wiring.training_set import Options

        _check(yes=yes, no_register=no_register)
        check_recipe(recipe)
        check_engine(engine)
        workspace = open_workspace(talk, project)
        if add_tier:
            workspace = _with_tier(talk, workspace, tasks)
        workspace.prompt_terms = PromptTerms(max_usd=usd, rewrite_by=rewrite_by or None)
        wants = _wants(workspace, tasks, recipe, tier, engine)
        options = Options(masked=mask, also=also, drop_noise=drop_noise, lenient=recipe == "auto")
        asks = _Asking(talk, yes=yes, no_register=no_register, auto=recipe == "auto")
        with TrainingWatch(talk.err) as watch:
            asks.watch = watch
            found = asyncio.run(_run(workspace, wants, watch, asks, options, minutes))
        for one in found:
            for note in one.notes:
                talk.warn(note)
        trained = [each for one in found for each in one.trained]
        talk.finish({"cards": [one.card for one in found], "experts": trained}, document(trained))


def _check(*, yes: bool, no_register: bool) -> None:
    from stepdown.errors import InputError

    if yes and no_register:
        raise InputError("--yes and --no-register exclude each other.", "Use one of them.")


def _with_tier(talk: Session, workspace: Workspace, tasks: Sequence[str] | None) -> Workspace:
    """Write the tier for each named task, and open the project anew."""
    from stepdown.errors import InputError
    from stepdown.wiring.adding_tier import add_tier

    if not tasks:
        raise InputError("--add-tier needs the name of a task.", "Write `train TASK --add-tier`.")
    for task in workspace.tasks(tasks):
        name = add_tier(workspace, task)
        talk.say(f"Wrote the tier {name!r} for {task.name!r} into stepdown.toml.")
    return open_workspace(talk, workspace.project.root)


def _wants(
    workspace: Workspace, tasks: Sequence[str] | None, recipe: str, tier: str, engine: str
) -> list[tuple[Want, ...]]:
    """Return what to train, by task; a task that was named must have something to train."""
    from msgspec.structs import replace

    from stepdown.errors import InputError
    from stepdown.wiring.adding_tier import needs_tier
    from stepdown.wiring.training import wanted

    chosen: Sequence[Task] = workspace.tasks(tasks or ())
    found = {task.name: wanted(workspace, task, recipe, tier) for task in chosen}
    empty = [task for task in chosen if not found[task.name]]
    if (tasks and empty) or not any(found.values()):
        said = f"{empty[0].name!r} has no tier to train" if tasks else "No task has a tier to train"
        how = f" by the recipe {recipe!r}" if recipe else ""
        raise InputError(f"{said}{how}.", needs_tier(workspace, empty[0]) if empty else "")
    return [tuple(replace(w, engine=engine) for w in wants) for wants in found.values() if wants]


class _Asking:
    """Whether to promote: what the options say, else a person at a terminal."""

    def __init__(self, talk: Session, *, yes: bool, no_register: bool, auto: bool) -> None:
        self.talk, self.yes, self.registers, self.auto = talk, yes, not no_register, auto
        self.watch: TrainingWatch | None = None

    def card(self, gathered: Gathered) -> None:
        """Show the card of a training set, before anything is trained."""
        from stepdown.adapters.render.terminal import print_document
        from stepdown.wiring.training_card import card_document

        if not self.talk.json:
            self._pause()
            print_document(card_document(gathered.card), self.talk.err)

    def __call__(self, workspace: Workspace, finished: Finished) -> bool | None:
        """Return true to promote, false for a candidate, None to register nothing."""
        from stepdown.wiring.paying import PAYS, WORDS, verdict_of

        if not self.registers:
            return None
        verdict = verdict_of(finished.trained.proof)
        pays, want = verdict in PAYS, finished.want
        if self.yes:
            return pays or not self.auto
        if self.talk.json or not sys.stdin.isatty():
            return verdict == "first"
        self._show(finished)
        return typer.confirm(
            f"{want.task.name} {want.tier.name}: {WORDS[verdict]}. Promote it?",
            default=pays,
            err=True,
        )

    def _show(self, finished: Finished) -> None:
        """Show what is asked about: old and new side by side."""
        from stepdown.adapters.render.terminal import print_document
        from stepdown.wiring.training_report import document

        self._pause()
        print_document(document([finished.trained]), self.talk.err)

    def _pause(self) -> None:
        """Take the bars away, so that they do not draw over what is shown."""
        if self.watch is not None:
            self.watch.pause()


async def _run(
    workspace: Workspace,
    wants: Sequence[Sequence[Want]],
    watch: TrainingWatch,
    asks: _Asking,
    options: Options,
    minutes: float | None,
) -> list[TaskTraining]:
    from stepdown.wiring.several_trainings import train_task

    seconds = None if minutes is None else 60 * minutes
    try:
        return [
            await train_task(workspace, group, options, asks, watch, seconds) for group in wants
        ]
    finally:
        await workspace.aclose()
