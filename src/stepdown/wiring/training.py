"""`train`: gather a set, run a recipe, prove what it made, and register it.

Nothing of a training counts before it is registered. Until then it lies in a scratch folder named
after all that decides the result, so that the same command goes on after an interruption.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from stepdown.adapters.tables.atomic import replacing
from stepdown.core.artifact import Artifact
from stepdown.core.digest import digest
from stepdown.core.outcome import Outcome
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import ConfigError
from stepdown.ports.trainer import Made, Step, TrainingJob
from stepdown.wiring.engines import trainer_on
from stepdown.wiring.evaluating import Watch
from stepdown.wiring.prompts import asked_as
from stepdown.wiring.proving import Proof, prove
from stepdown.wiring.recipes import AUTO, RECIPES, owns, trainers
from stepdown.wiring.registering import CardFile, Entry, register, size_of
from stepdown.wiring.training_set import Gathered, gather
from stepdown.wiring.workspace import Workspace

DONE = "made.json"


class Want(Struct, frozen=True):
    """One training to run: a recipe for a tier of a task."""

    task: Task
    tier: Tier
    recipe: str
    engine: str = "local"


class Trained(Struct, frozen=True, kw_only=True):
    """What one training made, and what it is worth. `artifact` is None until it is registered."""

    task: str
    tier: str
    recipe: str
    n_train: int
    digest: str
    size_bytes: int
    seconds: float
    proof: Proof
    notes: tuple[str, ...] = ()
    artifact: Artifact | None = None
    resumed: bool = False


class Finished(Struct, frozen=True):
    """A training that ended well, not yet registered."""

    want: Want
    made: Made
    trained: Trained
    gathered: Gathered
    folder: Path
    outcomes: Sequence[Outcome]


def wanted(workspace: Workspace, task: Task, recipe: str = "", tier: str = "") -> tuple[Want, ...]:
    """Return what to train for a task, in order of cost.

    Without a recipe: each tier that cannot answer untrained, by its own recipe. With one: the
    tiers that it can make. `auto`: every recipe that can make a tier, the cheapest first.

    Raises:
        ConfigError: a named tier cannot be made so; says why.
    """
    known = trainers(workspace)
    chosen = list(known) if recipe in ("", AUTO) else [recipe]
    found: list[Want] = []
    refused: dict[str, str] = {}
    for name in chosen:
        for one in (workspace.tiers[n] for n in task.tiers):
            why = known[name].refusal(task, one)
            if why is not None:
                if one.adapter in RECIPES[name].adapters:  # its own recipe knows best
                    refused[one.name] = f"{name}: {why}"
                refused.setdefault(one.name, f"{name}: {why}")
            elif recipe or owns(name, one):
                found.append(Want(task, one, name))
    if tier:
        _check_named(task, tier, found, refused)
    return tuple(want for want in found if not tier or want.tier.name == tier)


def _check_named(task: Task, tier: str, found: Sequence[Want], refused: dict[str, str]) -> None:
    if tier not in [want.tier.name for want in found]:
        raise ConfigError(
            f"The tier {tier!r} of {task.name!r} is not trained here.",
            f"{refused.get(tier, 'There is no such tier')[:1].upper()}"
            f"{refused.get(tier, 'There is no such tier')[1:]}.",
        )


async def run(
    workspace: Workspace,
    want: Want,
    gathered: Gathered,
    *,
    seconds: float | None = None,
    step: Step | None = None,
    watch: Watch | None = None,
) -> Finished:
    """Train by a recipe and prove the result on the tune rows; nothing is registered.

    Raises:
        InputError: the examples cannot be learned from, or an extra is not installed.
        WeightsError: the weights of its base are missing.
    """
    begun = workspace.seconds()
    folder = _scratch(workspace, want, gathered.data.digest)
    kept = _kept(folder)
    made = kept or await _fit(workspace, want, gathered, folder, seconds, step)
    fitted_s = workspace.seconds() - begun
    task, tier = want.task, want.tier
    model = workspace.models.made(task, tier, want.recipe, made.path, made.digest)
    asked = asked_as(task, tier, want.recipe, made.path, made.digest)
    try:
        proof, outcomes = await prove(workspace, asked, tier, model, watch, today=task)
    finally:
        await model.aclose()
    trained = Trained(
        task=task.name,
        tier=tier.name,
        recipe=want.recipe,
        n_train=gathered.card.n,
        digest=made.digest,
        size_bytes=size_of(made.path),
        seconds=fitted_s,
        proof=proof,
        notes=made.notes,
        resumed=kept is not None,
    )
    return Finished(want, made, trained, gathered, folder, outcomes)


async def _fit(
    workspace: Workspace,
    want: Want,
    gathered: Gathered,
    folder: Path,
    seconds: float | None,
    step: Step | None,
) -> Made:
    job = TrainingJob(
        task=want.task,
        tier=want.tier,
        data=gathered.data,
        folder=folder,
        seconds=seconds,
        step=stoppable(step),
        date=workspace.environment.today.isoformat(),
    )
    made = await trainer_on(want.engine, workspace, want.recipe).fit(job)
    with replacing(folder / DONE) as path:
        path.write_bytes(msgspec.json.encode(made, enc_hook=str))
    return made


def stoppable(step: Step | None) -> Step:
    """Return a step that ends a training at once when its task was cancelled (Ctrl-C).

    A fit that computes without a pause would not notice otherwise.
    """
    mine = asyncio.current_task()

    def told(stage: str, done: int, total: int | None) -> None:
        if mine is not None and mine.cancelling():
            raise asyncio.CancelledError
        if step is not None:
            step(stage, done, total)

    return told


def _scratch(workspace: Workspace, want: Want, data_digest: str) -> Path:
    """Return the folder of a training; those of the same tier and recipe on other data go."""
    root = workspace.project.state / "training"
    base = f"{want.task.name}-{want.tier.name}-{want.recipe}-"
    mark = digest((data_digest, want.tier.model, want.recipe)).removeprefix("sha256:")[:12]
    for old in root.glob(f"{base}*"):
        if old.name != base + mark and len(old.name) == len(base + mark):
            shutil.rmtree(old, ignore_errors=True)
    folder = root / (base + mark)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _kept(folder: Path) -> Made | None:
    """Return what an interrupted training had finished, None when it had not."""
    with suppress(OSError, msgspec.MsgspecError):
        made = msgspec.json.decode(
            (folder / DONE).read_bytes(), type=Made, dec_hook=lambda kind, value: kind(value)
        )
        return made if made.path.exists() else None
    return None


def settle(workspace: Workspace, finished: Finished, *, promote: bool | None) -> Trained:
    """Register what a training made (None: do not), and clear its scratch folder.

    `promote` says whether it answers from now on; otherwise it is kept as a candidate.
    """
    want, trained = finished.want, finished.trained
    if promote is False and answers_already(workspace, finished):
        promote = True
    artifact = None
    if promote is not None:
        card = CardFile(
            recipe=want.recipe,
            data=finished.gathered.card,
            made=finished.made.card,
            notes=finished.made.notes,
            traffic=finished.gathered.traffic,
        )
        entry = Entry(
            task=want.task, tier=want.tier, made=finished.made, proof=trained.proof, card=card
        )
        artifact = register(workspace, entry, promote=promote)
    shutil.rmtree(finished.folder, ignore_errors=True)
    return msgspec.structs.replace(trained, artifact=artifact)


def answers_already(workspace: Workspace, finished: Finished) -> bool:
    """Tell whether what was made is, byte for byte, what is promoted today."""
    want = finished.want
    today = workspace.models.registry.promoted(want.task.name, want.tier.name)
    return today is not None and today.digest == finished.made.digest


def trainable(workspace: Workspace, task: Task, tiers: Sequence[str] = ()) -> tuple[Tier, ...]:
    """Return the tiers of a task that answer only once they were trained."""
    return tuple(w.tier for w in wanted(workspace, task) if not tiers or w.tier.name in tiers)


async def train(
    workspace: Workspace, task: Task, tier: Tier, watch: Watch | None = None
) -> Trained:
    """Train one tier by its own recipe, and promote it."""
    want = wanted(workspace, task, tier=tier.name)[0]
    finished = await run(workspace, want, gather(workspace, task), watch=watch)
    return settle(workspace, finished, promote=True)
