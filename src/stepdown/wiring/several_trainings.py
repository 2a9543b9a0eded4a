"""All trainings of one task: one set, its recipes in the order of cost, the best of each tier kept.

The time that is given is shared: what is left when one has ended is what the next may take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from stepdown.core.digest import seed_from
from stepdown.errors import InputError, WeightsError
from stepdown.evals.books import Progress
from stepdown.train.data_card import DataCard
from stepdown.wiring.paying import best_of
from stepdown.wiring.pinning import pin_artifact
from stepdown.wiring.training import Finished, Trained, Want, run, settle
from stepdown.wiring.training_set import Gathered, Options, gather
from stepdown.wiring.workspace import Workspace


class Asking(Protocol):
    """Who decides what is promoted, and is shown the card before."""

    registers: bool

    def card(self, gathered: Gathered) -> None:
        """Show the card of a training set."""
        ...

    def __call__(self, workspace: Workspace, finished: Finished) -> bool | None:
        """Return true to promote, false for a candidate, None to register nothing."""
        ...


class Watcher(Protocol):
    """Who is told how far it is."""

    def about(self, task: str, tier: str) -> None:
        """Say whose training the next steps are of."""
        ...

    def step(self, stage: str, done: int, total: int | None) -> None:
        """Take a step of a recipe."""
        ...

    def __call__(self, seen: Progress) -> None:
        """Take the progress of an eval."""
        ...


class TaskTraining(Struct, frozen=True):
    """What was trained for a task, from which set; `notes` say what was not, and why."""

    card: DataCard
    trained: tuple[Trained, ...]
    notes: tuple[str, ...] = ()


async def train_task(
    workspace: Workspace,
    wants: Sequence[Want],
    options: Options,
    asks: Asking,
    watch: Watcher,
    seconds: float | None = None,
) -> TaskTraining:
    """Run the trainings of one task and settle them; a later recipe must beat an earlier one.

    Of several recipes for one tier only the best is offered; the others become candidates.

    Raises:
        InputError: the set cannot be learned from, or an extra is not installed; with
            `lenient` options only where nothing at all could be trained.
    """
    begun = workspace.seconds()
    gathered = gather(workspace, wants[0].task, options)
    asks.card(gathered)
    done: list[Finished] = []
    notes: list[str] = []
    for want in wants:
        left = None if seconds is None else seconds - (workspace.seconds() - begun)
        name = f"{want.task.name} {want.tier.name}"
        if left is not None and left <= 0 and done:
            notes.append(f"{name}: no time was left for {want.recipe}.")
            continue
        watch.about(want.task.name, want.tier.name)
        try:
            done.append(
                await run(workspace, want, gathered, seconds=left, step=watch.step, watch=watch)
            )
        except (InputError, WeightsError) as error:
            if not options.lenient or (want is wants[-1] and not done):
                raise
            notes.append(f"{name}: {want.recipe} was left out: {error}")
    return TaskTraining(gathered.card, await _settled(workspace, done, asks), tuple(notes))


async def _settled(
    workspace: Workspace, done: Sequence[Finished], asks: Asking
) -> tuple[Trained, ...]:
    """Offer the best training of each tier; what it beats is kept as a candidate."""
    seed = seed_from(workspace.whole_split.data_digest)
    of_tier: dict[str, list[Finished]] = {}
    for one in done:
        of_tier.setdefault(one.want.tier.name, []).append(one)
    best = {tier: best_of(found, seed) for tier, found in of_tier.items()}
    settled = []
    for one in done:
        beaten = False if asks.registers else None
        said = asks(workspace, one) if one is best[one.want.tier.name] else beaten
        told = settle(workspace, one, promote=said)
        if told.artifact is not None:
            await pin_artifact(workspace, told.artifact)
        settled.append(told)
    return tuple(settled)
